"""What is said of inputs that failed or are damaged, where the others are not."""

from collections.abc import Sequence
import os
import sys

from cellrec_jax import errors

MOST_SHOWN = 20
"""Lines, of as many inputs."""
_MOST_IN_LINE = 3


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


def tell_damage(
    damaged: Sequence[str], num_asked: int, file: os.PathLike | str
) -> None:
    """Says on standard error, in a line, what of slides could not be read.

    `damaged` holds a text each, name and how much; beyond a few they are in `file`.
    """
    from cellrec_jax import hosts

    if damaged and hosts.is_first():
        shown = "; ".join(damaged[:_MOST_IN_LINE])
        more = len(damaged) - _MOST_IN_LINE
        print(  # noqa: T201
            f"error: {len(damaged)} of {num_asked} slides are damaged, all else of "
            f"them is there (see {file}): {shown}{f'; and {more} more' * (more > 0)}",
            file=sys.stderr,
        )
