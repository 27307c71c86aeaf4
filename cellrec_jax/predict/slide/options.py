"""How slides are looked at, and what is written of them."""

import dataclasses
import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cellrec_jax import errors

if TYPE_CHECKING:
    from cellrec_jax.predict.slide.roi import Regions
    from cellrec_jax.types import Traits

TABLES = ("csv", "csv.gz", "parquet")
ORIGINS = ("qupath", "openslide")


@dataclasses.dataclass(frozen=True)
class SlideOptions:
    """Choices of a call, of all its slides; ConfigError for what cannot be meant."""

    mpp: float = 0.0
    """Micrometres per px of level 0 of slides that do not say it; 0 for unknown."""
    mpp_for_all: bool = False
    """Whether it is of all slides, whatever they say."""
    overwrite: bool = False
    """Replace results of other settings, and files that were changed since."""
    tissue: bool = True
    """Look at tissue alone."""
    roi: "Regions | None" = None
    """To look at, or not to; px of a slide from its `origin` on."""
    roi_folder: "Path | None" = None
    """Where each slide has a file of its own `roi`."""
    table: str = "csv"
    """Of `TABLES`."""
    geometry: str = "point"
    """What a cell is in GeoJSON: point, box or circle."""
    circle_um: float = 4.0
    """Radius of circles."""
    split: int = 0
    """Most cells of a GeoJSON file; 0 writes one file."""
    zipped: bool = False
    """Write .geojson.gz."""
    origin: str = "qupath"
    """Where (0, 0) lies on slides with bounds: at their corner, as QuPath shows them,
    or at that of the whole slide (openslide)."""
    overlay_px: int = 2048
    """Longer side of the overlay, at most."""
    density_um: float = 50.0
    """Side of a bin of the density map."""
    density_max: float = 10_000.0
    """Cells per mm2 from which on that map is darkest, so that maps compare."""
    least_um: float = 2.0
    """Cells nearer than this are one, whatever their class; 0 asks the model alone."""
    shard: tuple[int, int] = (0, 1)
    """(i, n): do the i-th of n parts of the work, from 0."""

    def __post_init__(self) -> None:
        index, number = self.shard
        _require(
            0 <= index < number,
            f"--shard {index}/{number}: give I/N with I from 0 to N - 1",
        )
        _require(
            64 <= self.overlay_px <= 8192,
            f"--overlay-px {self.overlay_px}: give 64 to 8192 px",
        )
        _require(
            1 <= self.density_um <= 1e4,
            f"--density-um {self.density_um:g}: give 1 to 10,000 um",
        )
        _require(
            1 <= self.density_max <= 1e6,
            f"--density-max {self.density_max:g}: give 1 to 1,000,000 cells per mm2",
        )
        _require(
            0 <= self.least_um <= 20,
            f"--min-distance-um {self.least_um:g}: give 0 to 20 um",
        )
        _require(
            0.5 <= self.circle_um <= 100,
            f"--circle-um {self.circle_um:g}: give 0.5 to 100 um",
        )
        _require(
            self.table != "parquet" or bool(importlib.util.find_spec("pyarrow")),
            "--table parquet needs pyarrow: pip install 'cellrec_jax[parquet]'",
        )
        _require(self.split >= 0, f"--split {self.split}: give 0 cells or more")

    def check_method(self, traits: "Traits") -> None:
        """ConfigError where a method does not find what is to be written."""
        _require(
            self.geometry != "box" or traits.has_boxes,
            "--geometry box: this method predicts points without boxes; leave it out, "
            "or give --geometry circle",
        )

    def looks(self) -> dict[str, Any]:
        """What decides the cells that are found, but for the model: JSON."""
        looks: dict[str, Any] = {"tissue": self.tissue, "roi": ""}
        if self.roi is not None:
            looks |= {"roi": self.roi.digest, "roi_file": self.roi.file}
            looks |= {"origin": self.origin}
        return looks

    def form(self) -> dict[str, Any]:
        """What decides how they are written: JSON."""
        names = (
            *("table", "geometry", "circle_um", "split", "zipped", "origin"),
            *("overlay_px", "density_um", "density_max", "least_um"),
        )
        return {name: getattr(self, name) for name in names}


def _require(ok: bool, message: str) -> None:
    if not ok:
        raise errors.ConfigError(message)
