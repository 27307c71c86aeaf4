"""Names of images and folders as a report shows them: as they are, or hashed."""

import hashlib
from typing import NamedTuple

_DIGEST_BYTES = 5
_LEFT_OUT = "left out, as it may hold names"


class Names(NamedTuple):
    """How names are shown.

    Hashes are short and the same in every report, so that those of two can be compared.
    They hide a name from a reader, not from one who has a list of names to try.
    """

    hidden: bool = False

    def of(self, name: str, kind: str = "image") -> str:
        """A name; a hidden one as `KIND-` and a hash.

        Example:
          >>> Names().of("a.png"), Names(hidden=True).of("a.png")
          ('a.png', 'image-effa45f8ff')
        """
        if not self.hidden or not name:
            return printable(name)
        encoded = name.encode("utf-8", "backslashreplace")
        digest = hashlib.blake2b(encoded, digest_size=_DIGEST_BYTES).hexdigest()
        return f"{kind}-{digest}"

    def said(self, text: str) -> str:
        """Free text of a file, which may hold names and so is hidden as a whole."""
        return _LEFT_OUT if self.hidden and text else printable(text)


def printable(text: str) -> str:
    """Text that UTF-8 has; of names that are not UTF-8 the bytes as escapes."""
    return text.encode("utf-8", "backslashreplace").decode()
