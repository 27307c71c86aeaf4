"""Aperio ImageScope: XML an image, as of MoNuSeg; and HALO's `.annotations`.

Files lie beside the images or in `annotations/`, `xml/` or `labels/`. Regions are
cells, the name of their layer is the class; layers "Ignore*" and "Region*" are areas to
leave out, and those that were looked at.
"""

from etils.epath import Path

from cellrec_jax.data.annotations import aperio
from cellrec_jax.data.readers import pairs
from cellrec_jax.data.record import Source

NAME = "aperio"
_KINDS = ("Aperio ImageScope",)
_ENDINGS = ((".xml",), (".annotations",))


def matches(root: Path) -> bool:
    """Whether an image has XML of ImageScope of its name."""
    return pairs.matches(root, _ENDINGS, _KINDS)


def open_source(root: Path) -> Source:
    """Opens images with XML of ImageScope; all files are read once, for classes."""
    return pairs.source(
        NAME, root, _ENDINGS, _KINDS, lambda file, _: aperio.parse(file)
    )
