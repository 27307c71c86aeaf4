"""ASAP: XML an image, beside it or in `annotations/`, `xml/` or `labels/`.

Dots and areas are cells, their group is the class; groups "Ignore*" and "Region*" are
areas to leave out, and those that were looked at.
"""

from etils.epath import Path

from cellrec_jax.data.annotations import asap
from cellrec_jax.data.readers import pairs
from cellrec_jax.data.record import Source

NAME = "asap"
_KINDS = ("ASAP",)
_ENDINGS = ((".xml",),)


def matches(root: Path) -> bool:
    """Whether an image has XML of ASAP of its name."""
    return pairs.matches(root, _ENDINGS, _KINDS)


def open_source(root: Path) -> Source:
    """Opens images with XML of ASAP; all files are read once, for classes."""
    return pairs.source(NAME, root, _ENDINGS, _KINDS, lambda file, _: asap.parse(file))
