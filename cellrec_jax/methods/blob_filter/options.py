"""Options of the blob filter: its signal, and what is searched."""

import dataclasses

from cellrec_jax.config.limits import check, option, require
from cellrec_jax.methods.blob_filter import signals


@dataclasses.dataclass(frozen=True)
class ModelOptions:
    """What blobs are looked for in, and the values to search."""

    signal: str = option("stains", choices=("auto", *signals.SIGNALS))
    """stains (haematoxylin and DAB), density (optical, of all colours), light (bright
    cells), contrast (difference from the surroundings, of phase contrast) or auto (the
    best of these on the training images)."""
    scales: tuple[float, ...] = option((0.35, 0.5, 0.7, 1.0, 1.4), above=0)
    """Sizes to try, as shares of the cells' boxes: 1 answers most to a disc as wide as
    the median box of the training images (`data.box_size` around points)."""
    distances: tuple[float, ...] = option((1.0, 2.0), above=0)
    """Least distances of two cells to try, in sigmas of the filter."""
    max_detections: int = option(1000, above=0)
    """Cells of an image that are kept, the best first."""

    def __post_init__(self) -> None:
        check("model", self)
        for key in ("scales", "distances"):
            require(len(getattr(self, key)) > 0, f"model.{key} has nothing to try")

    def kinds(self) -> tuple[str, ...]:
        """Signals to try."""
        return signals.SIGNALS if self.signal == "auto" else (self.signal,)


@dataclasses.dataclass(frozen=True)
class LossOptions:
    """No fields: nothing is trained by gradients."""


@dataclasses.dataclass(frozen=True)
class Options:
    """All options of the method."""

    model: ModelOptions = ModelOptions()
    loss: LossOptions = LossOptions()
