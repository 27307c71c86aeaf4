"""Options of cells by image processing: restoration, and what is searched."""

import dataclasses

from cellrec_jax.config.limits import check, option, require
from cellrec_jax.methods.vicar import phase_optics, search, watershed_seeds


@dataclasses.dataclass(frozen=True)
class ModelOptions:
    """Restoration and the values to search; the paper's unless said otherwise."""

    sparsity: float = option(0.2, least=0)
    """0.5 as published by Vicar et al. loses flat cells (F1 0.63, not 0.76, on a frame
    of usiigaci)."""
    smoothness: float = option(1.0, least=0)
    epsilon: float = option(100.0, least=0)
    gamma: float = option(3.0, above=0)
    max_iterations: int = option(100, above=0)
    bright: bool = False
    """Whether bodies are brighter than the background (negative phase contrast)."""
    max_detections: int = option(1000, above=0)
    """Seeds of an image that are kept, those deepest inside cells first."""
    search_labels: str = option("sampled", choices=search.LABELS)
    """given (highest F1: the annotated points are all cells) or sampled (they may be a
    random part of them; see `search.search`). From a tenth of three frames'
    labels F1 falls from 0.73 to 0.66 by sampled, to 0.52 by given; from all not."""
    threshold: tuple[float, ...] = option((0.01, 0.02, 0.04, 0.08), least=0)
    """Values to try; restored images reach about 0.3."""
    min_area_px: tuple[float, ...] = option((80.0, 180.0), least=0)
    max_hole_px: tuple[float, ...] = option((0.0, 230.0), least=0)
    h_px: tuple[float, ...] = option((1.5, 3.0, 4.7, 6.0), least=0)

    def __post_init__(self) -> None:
        check("model", self)
        for key in watershed_seeds.SeedOptions._fields:
            require(len(getattr(self, key)) > 0, f"model.{key} has nothing to try")

    def optics(self) -> phase_optics.PhaseOptions:
        """Of the restoration."""
        keys = ("sparsity", "smoothness", "epsilon", "gamma")
        values = {key: getattr(self, key) for key in keys}
        return phase_optics.PhaseOptions(
            **values, max_iterations=self.max_iterations, bright=self.bright
        )

    def grid(self) -> search.SeedGrid:
        """Of the search."""
        return search.SeedGrid(
            self.threshold, self.min_area_px, self.max_hole_px, self.h_px
        )


@dataclasses.dataclass(frozen=True)
class LossOptions:
    """No fields: nothing is trained by gradients."""


@dataclasses.dataclass(frozen=True)
class Options:
    """All options of the method."""

    model: ModelOptions = ModelOptions()
    loss: LossOptions = LossOptions()
