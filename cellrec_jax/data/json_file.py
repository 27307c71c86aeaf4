"""JSON files of other programs: marks before the text, UTF-16, gzip, doubled keys."""

import gzip
import io
from typing import Any
import zlib

from etils.epath import Path
import orjson

from cellrec_jax.data.text import decode
from cellrec_jax.errors import DataError

_UTF8_MARK = b"\xef\xbb\xbf"
_MOST_BYTES = 2**31
"""Unpacked; more is no annotation file, or a bomb."""


def read_json(file: Path) -> Any:
    """What a file holds, of doubled keys the last; `DataError` names line and column.

    Names that end in `.gz` are unpacked. NaN and Infinity are no JSON.
    """
    try:
        data = file.read_bytes()
        if file.name.lower().endswith(".gz"):
            data = _unpacked(data, file)
    except (OSError, EOFError, zlib.error) as error:
        reason = getattr(error, "strerror", None) or error
        raise DataError(f"{file}: not readable ({reason})") from error
    data = data.removeprefix(_UTF8_MARK)
    if b"\0" in data[:4] or data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        data = decode(data, file).encode()
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise DataError(
            f"{file}: broken JSON at line {error.lineno}, column {error.colno}: "
            f"{error.msg}"
        ) from error


def _unpacked(data: bytes, file: Path) -> bytes:
    with gzip.GzipFile(fileobj=io.BytesIO(data)) as stream:
        unpacked = stream.read(_MOST_BYTES + 1)
    if len(unpacked) > _MOST_BYTES:
        raise DataError(f"{file}: more than 2 GiB when unpacked: split it")
    return unpacked
