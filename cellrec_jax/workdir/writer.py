"""metrics.jsonl: one JSON object a log, safe to append to after a resume."""

from collections.abc import Mapping
from typing import Any

from etils import epath
import orjson

from cellrec_jax import errors
from cellrec_jax.io import atomic


def read_metrics(path: epath.Path) -> list[dict[str, Any]]:
    """Rows of a metrics.jsonl; a half-written last line is left out."""
    if not path.exists():
        return []
    rows = []
    for line in path.read_bytes().splitlines():
        try:
            rows.append(orjson.loads(line))
        except orjson.JSONDecodeError:
            continue
    return rows


def truncate_metrics(path: epath.Path, step: int) -> None:
    """Drops rows after `step`, which a resumed run will write again."""
    rows = [row for row in read_metrics(path) if row["step"] <= step]
    if path.exists():
        atomic.write_bytes(path, b"".join(orjson.dumps(row) + b"\n" for row in rows))


def append_metrics(path: epath.Path, row: Mapping[str, Any]) -> None:
    """Appends one row; RunError if the disk is full or read-only."""
    line = orjson.dumps(dict(row), option=orjson.OPT_SERIALIZE_NUMPY) + b"\n"
    try:
        if "://" in str(path):  # object stores cannot append
            before = path.read_bytes() if path.exists() else b""
            path.write_bytes(before + line)
            return
        with path.open("ab") as file:
            file.write(line)
    except OSError as error:
        raise errors.RunError(
            f"{path}: cannot write ({error.strerror}); free space or choose another "
            "--workdir, then start again: the run resumes from its last checkpoint"
        ) from error


def write_json(path: epath.Path, content: Mapping[str, Any]) -> None:
    """Writes readable JSON, whole or not at all; RunError if it cannot be written."""
    options = orjson.OPT_INDENT_2 | orjson.OPT_SERIALIZE_NUMPY
    atomic.write_bytes(path, orjson.dumps(content, option=options) + b"\n")


def read_json(path: epath.Path) -> Any:
    """Content of a JSON file; None if there is none or it cannot be read."""
    try:
        return orjson.loads(path.read_bytes())
    except (OSError, orjson.JSONDecodeError):
        return None
