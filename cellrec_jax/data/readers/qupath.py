"""QuPath: GeoJSON of objects, a file an image; also what `cellrec predict` writes.

a.png has a.geojson, a.geojson.gz, a.png.geojson or a.json: beside it, or in
`annotations/`, `labels/`, `geojson/` or `json/`. Points and areas are cells; areas of
class "Ignore*" are ignored, outside areas of class "Region*" nothing is annotated. The
measurement "trust" is below 1 of predictions, -1 where somebody said that no cell is.
"""

from etils.epath import Path

from cellrec_jax.data.annotations import qupath
from cellrec_jax.data.readers import pairs
from cellrec_jax.data.record import Source

NAME = "qupath"
_KINDS = ("GeoJSON",)
_ENDINGS = ((".geojson", ".geojson.gz"), (".json", ".json.gz"))


def matches(root: Path) -> bool:
    """Whether an image has GeoJSON of its name."""
    return pairs.matches(root, _ENDINGS, _KINDS)


def open_source(root: Path) -> Source:
    """Opens images with GeoJSON; all files are read once, for classes."""
    return pairs.source(
        NAME, root, _ENDINGS, _KINDS, lambda file, _: qupath.parse(file)
    )
