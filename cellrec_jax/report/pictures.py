"""Pictures of a work directory, small enough to stand inside a page."""

import base64
import io
from typing import TYPE_CHECKING

from etils import epath

from cellrec_jax.report.blocks import Picture

if TYPE_CHECKING:
    from PIL import Image

_SIDE = 1000  # px of the longer side
_MOST_LOSSLESS = 200_000  # bytes; what is larger becomes a JPEG
_QUALITY = 85


def embed(path: epath.Path, caption: str, title: str = "") -> Picture | None:
    """A picture as a data URI, made smaller; None where it cannot be read.

    Its pixels alone: nothing of the file's metadata.
    """
    from PIL import Image

    try:
        with Image.open(io.BytesIO(path.read_bytes())) as opened:
            image = opened.convert("RGB")
        image.info.clear()
        image.thumbnail((_SIDE, _SIDE), Image.Resampling.LANCZOS)
        kind, encoded = _encode(image)
    except Exception:  # of a decoder, whatever the file holds
        return None
    source = f"data:image/{kind};base64,{base64.b64encode(encoded).decode()}"
    width, height = image.size
    return Picture(caption, source, width=width, height=height, title=title)


def _encode(image: "Image.Image") -> tuple[str, bytes]:
    """Kind and bytes: lossless where that is small, as of charts."""
    encoded = io.BytesIO()
    image.save(encoded, "PNG", optimize=True)
    if encoded.tell() <= _MOST_LOSSLESS:
        return "png", encoded.getvalue()
    encoded = io.BytesIO()
    image.save(encoded, "JPEG", quality=_QUALITY, subsampling=0)  # thin coloured lines
    return "jpeg", encoded.getvalue()
