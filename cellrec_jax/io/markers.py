"""Puts generated text into a file that a person wrote, between two comment lines."""

from pathlib import Path

from cellrec_jax import errors
from cellrec_jax.io import atomic


def replace(path: Path, name: str, text: str) -> None:
    """Replaces what stands between `<!-- NAME -->` and `<!-- /NAME -->`.

    Args:
      path: the file; all the rest of it stays.
      name: of the markers.
      text: what shall stand there, without a line break at its end.

    Raises:
      ConfigError: if the file cannot be read, or has not these two markers once each,
        in this order.
      RunError: if it cannot be written.
    """
    begin, end = f"<!-- {name} -->", f"<!-- /{name} -->"
    try:
        content = path.read_text(encoding="utf-8")
    except OSError as error:
        raise errors.ConfigError(f"cannot read {path}: {error}") from error
    before, found_begin, rest = content.partition(begin)
    _, found_end, after = rest.partition(end)
    if not (found_begin and found_end) or begin in rest or end in after:
        raise errors.ConfigError(
            f"{path}: needs one line {begin} and, after it, one line {end}"
        )
    atomic.write_bytes(path, f"{before}{begin}\n{text}\n{end}{after}".encode())
