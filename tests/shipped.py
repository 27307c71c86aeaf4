"""Two model files as a package would have them, of networks as drawn."""

from pathlib import Path

from etils import epath
import numpy as np

from cellrec_jax import methods
from cellrec_jax.data import appearance
from cellrec_jax.workdir import export
from cellrec_jax.workdir.model import Model
from tests.predict.slide import fakes

BLUE, GREEN = (90, 90, 180), (90, 180, 90)
TOLD = {
    "what": "dots",
    "data": [{"source": "drawn", "licence": "CC0"}],
    "scores": {"F1 at 12 px": 0.75},
    "command": "cellrec train",
}


def dots(seed: int, color: tuple[int, int, int], side: int = 64) -> np.ndarray:
    """A picture of coloured dots on white, uint8 [side, side, 3]."""
    rng = np.random.default_rng(seed)
    image = np.full((side, side, 3), 240, np.uint8)
    image[rng.random((side, side)) < rng.uniform(0.2, 0.4)] = color
    return image


def write(folder: Path) -> None:
    """blue.safetensors and green.safetensors, of pictures of such dots."""
    drawn = fakes.predictor().model
    experiment = methods.changed(
        drawn.experiment,
        {
            **{"data.size_hw": (128, 128), "data.crop_hw": (128, 128)},
            "data.root": "/secret/dots",
        },
    )
    meta = {**drawn.meta, "native_hw": [128, 128], "seconds": 9.0}
    model = Model(
        experiment, drawn.method, drawn.params, drawn.model_state, meta, drawn.step
    )
    for name, color in (("blue", BLUE), ("green", GREEN)):
        pictures = [appearance.in_sizes(dots(seed, color)) for seed in range(8)]
        look = appearance.appearance_of(pictures)
        file = epath.Path(folder) / f"{name}.safetensors"
        export.write_file(model, experiment, file, {**TOLD, "what": name}, look)
