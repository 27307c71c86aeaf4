"""ImageJ: `.roi` or a `.zip` of the ROI manager an image, or XML of Cell Counter.

a.tif has a.roi, a.zip, a.xml or CellCounter_a.xml: beside it, or in `annotations/`,
`labels/` or `xml/`. Classes are numbers (counters, groups, types); `label_map.yaml` may
name them.
"""

from etils.epath import Path

from cellrec_jax.data.annotations import imagej
from cellrec_jax.data.readers import pairs
from cellrec_jax.data.record import Source

NAME = "imagej"
_KINDS = ("ImageJ",)
_ENDINGS = ((".roi", ".zip"), (".xml",))


def matches(root: Path) -> bool:
    """Whether an image has regions of ImageJ or markers of Cell Counter."""
    return pairs.matches(root, _ENDINGS, _KINDS)


def open_source(root: Path) -> Source:
    """Opens images with regions or markers; all files are read once, for classes."""
    return pairs.source(
        NAME, root, _ENDINGS, _KINDS, lambda file, _: imagej.parse(file)
    )
