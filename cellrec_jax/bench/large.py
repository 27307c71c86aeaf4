"""Pixels a second of one large image, from its file to its cells.

`pdl1_point:small_group` with random weights, four classes, on a TIFF of noise. Rows:

file to cells: `Predictor`, from opening the file on.
plain loop: the same windows, cut, predicted and fetched one after the other.
torch loop: the same, by the same network in PyTorch, less all that follows its outputs.
network alone: one window that is on the device already, again and again.

Its pixels are those of windows, that of the others of the image: windows overlap.
"""

from collections.abc import Callable
import itertools
from pathlib import Path
import tempfile
from typing import Any

import jax
import numpy as np

from cellrec_jax.bench import (
    contestants,
    experiments,
    machine,
    timing,
    torch_points,
    untrained,
)
from cellrec_jax.bench.report import Report, Row, Say, Settings

SIZE_HW = (4000, 4000)
"""px, where `--sizes` does not say."""
CONFIG = "pdl1_point:small_group"

_CLASSES = ("a", "b", "c", "d")
_REPEATS = 3
_MPP = 0.25


def run(settings: Settings, say: Say) -> Report:
    """Measures the rows at each size.

    `presets` names rows, `batch_size` is that of windows in the first.
    """
    rows: list[Row] = []
    notes: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        for size_hw in settings.sizes_hw or (SIZE_HW,):
            say(f"large: writing {size_hw[0]} x {size_hw[1]} px")
            file = _write_tiff(Path(folder) / "large.tif", size_hw)
            ways, window_hw, windows = _ways(file, settings.batch_size)
            if not contestants.has_torch():
                del ways["torch loop"]
                notes.append("torch loop skipped: PyTorch is not installed")
            for name in [
                n for n in ways if settings.presets and n not in settings.presets
            ]:
                del ways[name]
            say(f"large: {windows} windows of {window_hw[0]} x {window_hw[1]} px")
            peak = {}
            for name, way in ways.items():  # compiles; `file to cells` comes first
                way()
                peak[name] = machine.peak_mib()
            calls = {name: timing.Call(way) for name, way in ways.items()}
            found = timing.compare(calls, settings.repeats or _REPEATS, np.inf)
            for name, timed in found.items():
                pixels = window_hw if name == "network alone" else size_hw
                rows.append(
                    {
                        "way": name,
                        "image_px": f"{size_hw[0]}x{size_hw[1]}",
                        "windows": windows,
                        **timed.columns(),
                        "mpx_per_s": np.prod(pixels) / timed.median_s / 1e6,
                        "peak_mib": peak[name],
                    }
                )
    return Report(tuple(rows), tuple(notes))


def _write_tiff(path: Path, size_hw: tuple[int, int]) -> Path:
    """A tiled RGB TIFF of noise, without compression; written in strips of rows."""
    import tifffile

    rng = np.random.default_rng(0)
    height, width = size_hw

    def tiles() -> Any:
        for _ in range(-(-height // 256) * -(-width // 256)):
            yield rng.integers(0, 256, (256, 256, 3), np.uint8)

    tifffile.imwrite(
        path,
        tiles(),
        shape=(height, width, 3),
        dtype=np.uint8,
        tile=(256, 256),
        photometric="rgb",
    )
    return path


def _ways(
    file: Path, batch: int
) -> tuple[dict[str, Callable[[], Any]], tuple[int, int], int]:
    """Name -> what is timed; the size of windows and how many there are."""
    from cellrec_jax.data.pixels import images  # late: needs Pillow
    from cellrec_jax.predict import compiled

    ready = untrained.predictor(experiments.load(CONFIG), _CLASSES, _MPP, batch)
    params, state = ready.model.params, ready.model.model_state

    def file_to_cells() -> Any:
        return ready.predict(images.load_image(file), _MPP)

    def windows() -> Any:
        scene = ready.scene(images.load_image(file), _MPP)
        return (tile.cut(scene.image)[None] for tile in scene.placement.tiles)

    def one(image: np.ndarray) -> compiled.Windows:
        whole = np.array([image.shape[1:3]], np.int32)
        return compiled.Windows(image, whole, np.ones(1, bool))

    def plain_loop() -> None:
        for image in windows():
            jax.device_get(ready.compiled(params, state, one(image)))

    def torch_loop() -> None:
        predict = torch_points.predictor(len(_CLASSES))
        for image in windows():
            predict(image)

    (first,) = itertools.islice(windows(), 1)
    resident = jax.device_put(one(first))

    def network_alone() -> Any:
        return jax.block_until_ready(ready.compiled(params, state, resident))

    placed = ready.frame.place(_shape(file), _MPP)
    return (
        {
            "file to cells": file_to_cells,
            "plain loop": plain_loop,
            "torch loop": torch_loop,
            "network alone": network_alone,
        },
        placed.tiles[0].size_hw,
        len(placed.tiles),
    )


def _shape(file: Path) -> tuple[int, int]:
    import tifffile

    with tifffile.TiffFile(file) as tiff:
        height, width = tiff.pages[0].shape[:2]
    return height, width
