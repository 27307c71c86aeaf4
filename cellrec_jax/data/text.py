"""Text of annotation files and names, in one form whatever wrote it."""

import codecs
import unicodedata

from etils.epath import Path

from cellrec_jax.errors import DataError

_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # begins like the mark of UTF-16
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


def composed(text: str) -> str:
    """Letters with accents as one sign each (NFC): macOS writes names as two."""
    return text if text.isascii() else unicodedata.normalize("NFC", text)


def read_text(path: Path) -> str:
    """Reads a file as `decode` does, lines ending in a newline alone."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}") from error
    return composed(decode(data, path).replace("\r\n", "\n").replace("\r", "\n"))


def decode(data: bytes, path: Path) -> str:
    """UTF-8, or UTF-16 and 32 by their mark or first sign; others are a `DataError`."""
    try:
        return data.decode(_encoding(data)).removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8 text: save it as UTF-8") from error


def decode_head(data: bytes) -> str:
    """The first bytes of a text; what cannot be decoded is left out."""
    return data.decode(_encoding(data), "ignore").removeprefix("\ufeff")


def _encoding(data: bytes) -> str:
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            return encoding
    if len(data) > 1 and (data[0] == 0) != (data[1] == 0):  # what is written is ASCII
        return "utf-16-be" if data[0] == 0 else "utf-16-le"
    return "utf-8"
