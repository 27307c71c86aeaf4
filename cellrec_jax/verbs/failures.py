"""What is said of inputs that failed, where the others did not."""

from collections.abc import Sequence
import os
import sys

from cellrec_jax import errors

MOST_SHOWN = 20
"""Lines, of as many inputs."""


def tell(
    failed: Sequence[str], num_asked: int, kind: str, file: os.PathLike | str
) -> int:
    """Lists on standard error what failed of `num_asked` inputs; the exit code.

    `failed` holds a line each, name and reason; beyond `MOST_SHOWN` they are in `file`,
    which has all. 0 where none failed, 1 where some did, 2 where nothing was done.
    """
    from cellrec_jax import hosts  # late: JAX reads the environment when it is imported

    if not failed:
        return 0
    if hosts.is_first():
        lines = [f"error: {len(failed)} of {num_asked} {kind} failed (see {file}):"]
        lines += [f"  {text}" for text in failed[:MOST_SHOWN]]
        if len(failed) > MOST_SHOWN:
            lines.append(f"  and {len(failed) - MOST_SHOWN} more in {file}")
        print("\n".join(lines), file=sys.stderr)  # noqa: T201
    if len(failed) >= num_asked:
        return errors.DataError.exit_code
    return errors.RunError.exit_code
