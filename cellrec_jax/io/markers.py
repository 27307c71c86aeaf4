"""Puts generated text into a file that a person wrote, between two comment lines."""

from pathlib import Path

from cellrec_jax import errors
from cellrec_jax.io import atomic


def replace(path: Path, name: str, text: str) -> None:
    """Replaces what stands between `<!-- NAME -->` and `<!-- /NAME -->`.

    `text` has no line break at its end. ConfigError if the file cannot be read, or has
    not these two markers once each, in this order.
    """
    before, after = _around(path, name)
    begin, end = _markers(name)
    atomic.write_bytes(path, f"{before}{begin}\n{text}\n{end}{after}".encode())


def require(path: Path, name: str) -> None:
    """Raises a ConfigError unless `replace` will find the file and its markers."""
    _around(path, name)


def _around(path: Path, name: str) -> tuple[str, str]:
    """What stands before and after the markers."""
    begin, end = _markers(name)
    try:
        content = path.read_bytes().decode()  # as it is, with its line breaks
    except (OSError, UnicodeDecodeError) as error:
        raise errors.ConfigError(f"cannot read {path}: {error}") from error
    before, found_begin, rest = content.partition(begin)
    _, found_end, after = rest.partition(end)
    if not (found_begin and found_end) or begin in rest or end in after:
        raise errors.ConfigError(
            f"{path}: needs one line {begin} and, after it, one line {end}"
        )
    return before, after


def _markers(name: str) -> tuple[str, str]:
    return f"<!-- {name} -->", f"<!-- /{name} -->"
