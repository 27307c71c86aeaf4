"""What functions on slides are told: of a call, and of one slide."""

from collections.abc import Callable, Mapping
import dataclasses
from pathlib import Path
import types
from typing import Any, NamedTuple

from etils import epath
import numpy as np

from cellrec_jax import geometry
from cellrec_jax.data.pixels import slides
from cellrec_jax.io.console import Console
from cellrec_jax.predict.predictor import Predictor
from cellrec_jax.predict.slide import roi, rows, tissue
from cellrec_jax.predict.slide.grid import Grid
from cellrec_jax.predict.slide.journal import Journal
from cellrec_jax.predict.slide.network import Looker
from cellrec_jax.predict.slide.options import SlideOptions
from cellrec_jax.workdir import interrupt


class Work(NamedTuple):
    """What all slides of a call share."""

    predictor: Predictor
    looker: Looker
    output: epath.Path
    options: SlideOptions
    console: Console
    settings: Mapping[str, Any]
    seconds_each: Callable[[], float]
    """Of a tile; tried once a call, when it is first asked for."""
    stop: Callable[[interrupt.Interrupt], None]
    """Raises `interrupt.Interrupted` after a signal, here or at another process."""
    regions: Mapping[Path, roi.Regions] = types.MappingProxyType({})
    """Of slides that have their own `options.roi`."""

    def of(self, path: Path) -> "Work":
        """The same with the regions of one slide."""
        regions = self.regions.get(path, self.options.roi)
        return self._replace(options=dataclasses.replace(self.options, roi=regions))


class Place(NamedTuple):
    """A slide at work."""

    path: Path
    name: str
    description: slides.Description
    grid: Grid
    small: tissue.Thumbnail
    mask: tissue.Mask
    tiles: rows.Tiles
    journal: Journal
    regions: roi.Regions | None

    def holds(self, points_yx: np.ndarray) -> np.ndarray:
        """Whether cells at points [M, 2], px of level 0, count; bool [M]."""
        held = geometry.inside(points_yx, self.description.levels[0].size_hw)
        held &= self.mask.holds(points_yx)
        if self.regions is not None:
            held[held] = roi.within(self.regions, points_yx[held])
        return held
