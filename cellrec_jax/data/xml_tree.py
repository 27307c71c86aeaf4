"""XML files of any encoding and namespace as a tree of plain names."""

import contextlib
import re
from xml.etree.ElementTree import Element, ParseError

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring
from etils.epath import Path

from cellrec_jax.data.text import decode
from cellrec_jax.errors import DataError

_DECLARATION = re.compile(r"""^\s*<\?xml[^>]*?(encoding\s*=\s*["']([\w.-]+)["'])""")
_WIDE = re.compile("(utf|ucs|iso-10646-ucs)-?(16|32|2|4)", re.IGNORECASE)
_UNKNOWN_ENCODING = 18  # of expat
_WRONG_ENCODING = 19


def read_xml(file: Path) -> Element:
    """The root of a file, names without namespaces; a `DataError` names the line.

    The parser knows few encodings; the others are decoded here, by the declaration, or
    as UTF-8 where that is wrong.
    """
    try:
        data = file.read_bytes()
        try:
            root = fromstring(data)
        except ParseError as error:
            if error.code not in (_UNKNOWN_ENCODING, _WRONG_ENCODING):
                raise
            root = fromstring(_decoded(data, file))
        except (LookupError, ValueError) as error:
            if isinstance(error, DefusedXmlException):
                raise
            root = fromstring(_decoded(data, file))
    except ParseError as error:
        raise DataError(
            f"{file}: broken XML ({error}); mend or remove it, or save it as UTF-8"
        ) from error
    except (DefusedXmlException, OSError, LookupError, ValueError) as error:
        raise DataError(f"{file}: not readable as XML ({error!r})") from error
    for element in root.iter():
        if isinstance(element.tag, str):
            element.tag = element.tag.rpartition("}")[2]
    return root


def _decoded(data: bytes, file: Path) -> str:
    """The text in its declared encoding, without the declaration of it."""
    declared = _DECLARATION.search(data[:200].replace(b"\0", b"").decode("latin-1"))
    text = None
    # Texts of one byte a sign are never UTF-16 or 32, whatever they declare.
    if declared and (b"\0" in data or not _WIDE.match(declared[2])):
        with contextlib.suppress(LookupError, ValueError):
            text = data.decode(declared[2])
    if text is None:
        text = decode(data, file)
    return re.sub(r"^\s*<\?xml.*?\?>", "", text.removeprefix("\ufeff"), count=1)
