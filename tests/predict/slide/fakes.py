"""Slides that are arrays, small ones in files, and a network that finds cells there."""

from pathlib import Path

import jax
import numpy as np

from cellrec_jax import config_files, methods
from cellrec_jax.data.pixels import slides
from cellrec_jax.data.pixels.slide_reader import BadRegion, Reader, find_levels
from cellrec_jax.predict import predictor as predict_one
from cellrec_jax.train import start
from cellrec_jax.workdir import model


def slide(
    image: np.ndarray, num_levels: int = 1, bad_yxyx=None, block_hw=(16, 16)
) -> slides.Slide:
    """A slide of an image uint8 [H, W, 3], halved by means; level 0 bad in a part.

    Its file has tiles of `block_hw`.
    """
    images = [image]
    for _ in range(num_levels - 1):
        height, width = (side // 2 * 2 for side in images[-1].shape[:2])
        quarters = images[-1][:height, :width].reshape(height // 2, 2, width // 2, 2, 3)
        images.append(quarters.mean((1, 3)).round().astype(np.uint8))
    levels = find_levels(Path("array"), [one.shape[:2] for one in images])

    def read(level, origin_yx, size_hw):
        (top, left), (height, width) = origin_yx, size_hw
        if bad_yxyx is not None and level == 0:
            y0, x0, y1, x1 = bad_yxyx
            if top < y1 and left < x1 and top + height > y0 and left + width > x0:
                raise BadRegion("damaged")
        return images[level][top : top + height, left : left + width]

    blocks = (block_hw,) * num_levels
    reader = Reader(
        "array", "", tuple(levels.values()), read, lambda: None, blocks_hw=blocks
    )
    return slides.Slide(Path("array"), reader.levels, reader)


def predictor() -> predict_one.Predictor:
    """A network of matched points as drawn, which finds a point in most of its cells.

    Its norm sees one pixel, so it looks 95 px far.
    """
    experiment = methods.changed(
        methods.freeze(config_files.load("pdl1_point:small")),
        {
            **{"model.norm": "layer", "model.encoder": "tiny", "model.channels": 8},
            **{"model.aggregation": "last", "model.head": "plain"},
            "model.max_detections": 4000,
        },
    )
    method = methods.build(experiment, 2)
    state = start.make_state(experiment, method)

    def raise_scores(path, leaf):  # as drawn all are a half
        names = [part.key for part in path]
        return 40 * leaf if "output" in names and "offsets" not in names else leaf

    weights = jax.tree.map_with_path(raise_scores, state.params)
    meta = {
        "class_names": ["Tumor: Positive", "Tumor: Negative"],
        "native_hw": [640, 640],
        "mpp": 0.5,
        "decode": {
            **{"thresholds": [0.4, 0.4], "min_distance": 12.0, "scope": "shared"},
            **{"rule": "", "withheld": False, "num_labels": [9, 9]},
        },
    }
    return predict_one.of(
        model.Model(experiment, method, weights, state.model_state, meta, 1)
    )


def write_slides(folder: Path) -> None:
    """a.tif, b.tif: 700 x 900 px of 0.5 um, tissue on the left, glass on the right."""
    for seed, name in enumerate(("a.tif", "b.tif")):
        rng = np.random.default_rng(seed)
        image = rng.integers(0, 200, (700, 900, 3)).astype(np.uint8)
        image[:, 500:] = 245
        write_slide(folder / name, image)


def write_slide(path: Path, image: np.ndarray, mpp: float = 0.5) -> None:
    """A pyramid of two levels of an image uint8 [H, W, 3] of even sides."""
    import tifffile

    height, width = image.shape[:2]
    quarters = image.reshape(height // 2, 2, width // 2, 2, 3)
    options = {
        **{"tile": (128, 128), "photometric": "rgb", "compression": "deflate"},
        "resolutionunit": "CENTIMETER",
    }
    per_cm = 1e4 / mpp
    with tifffile.TiffWriter(path) as tiff:
        tiff.write(image, resolution=(per_cm, per_cm), **options)
        tiff.write(
            quarters.mean((1, 3)).astype(np.uint8),
            resolution=(per_cm / 2, per_cm / 2),
            subfiletype=1,
            **options,
        )
