"""Pixels a second of a whole slide, from its file to the files of its cells.

`pdl1_point:small` with random weights on a pyramid of JPEG tiles, generated cells
repeated. Rows:

slide to files: `predict.slide`: tissue, tiles, cells joined, all that is written.
OpenSlide loop: the same tiles read by OpenSlide, predicted, fetched and cut to what
each owns, one after the other; writes nothing.
network alone: a batch as slides have it, on the device already, again and again.

Pixels are those of the slide, of the last row those of the batch. `network_share` is
the part of a way's time that its tiles take the network alone: what a device works;
`idle_share` is the rest. Tiles are those with tissue.
A peak is that of all rows until then; with `--presets ROW` it is the row's own.
"""

from collections.abc import Callable, Iterator
import os
from pathlib import Path
import tempfile
from typing import Any

from etils import epath
import jax
import numpy as np

from cellrec_jax.bench import experiments, machine, timing, untrained
from cellrec_jax.bench.report import Report, Row, Say, Settings

SIZE_HW = (4096, 4096)
"""px, where `--sizes` does not say."""
CONFIG = "pdl1_point:small"
MPP = 0.25

_TILE = 256
_REPEATS = 3
_CLASSES = ("positive", "negative")


def run(settings: Settings, say: Say) -> Report:
    """Measures the rows at each size; `presets` names some, `batch_size` of tiles."""
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as folder:
        for size_hw in settings.sizes_hw or (SIZE_HW,):
            say(f"slide: writing {size_hw[0]} x {size_hw[1]} px")
            file = write_slide(Path(folder) / "slide.tif", size_hw)
            ways, tile_px, tiles, batch = _ways(file, Path(folder), settings.batch_size)
            asked = settings.presets or tuple(ways)
            ways = {name: way for name, way in ways.items() if name in asked}
            say(f"slide: {tiles} tiles of {tile_px} px")
            peak = {}
            for name, way in ways.items():  # compiles
                way()
                peak[name] = machine.peak_mib()
            calls = {name: timing.Call(way) for name, way in ways.items()}
            found = timing.compare(calls, settings.repeats or _REPEATS, np.inf)
            alone = found.get("network alone")
            for name, timed in found.items():
                is_alone = name == "network alone"
                pixels = batch * tile_px**2 if is_alone else np.prod(size_hw)
                row: dict[str, Any] = {
                    "way": name,
                    "image_px": f"{size_hw[0]}x{size_hw[1]}",
                    "windows": tiles,
                    **timed.columns(),
                    "mpx_per_s": pixels / timed.median_s / 1e6,
                    "s_per_mm2": timed.median_s / (pixels * MPP**2 / 1e6),
                    "peak_mib": peak[name],
                }
                if alone is not None and not is_alone:
                    share = tiles * alone.median_s / batch / timed.median_s
                    row |= {"network_share": share, "idle_share": 1 - share}
                rows.append(row)
    return Report(tuple(rows), ())


def write_slide(path: Path, size_hw: tuple[int, int]) -> Path:
    """A pyramid of JPEG tiles at `MPP`: one image of generated cells, repeated."""
    import tifffile

    from cellrec_jax.data.synthetic import source as synthetic

    image = synthetic.make_image(0, 0, size_hw=(1024, 1024)).image
    resolution, level = 1e4 / MPP, 0
    height, width = size_hw
    with tifffile.TiffWriter(path, bigtiff=True) as file:
        while True:
            side = max(1024 >> level, 1)
            small = image.reshape(side, 1024 // side, side, 1024 // side, 3)
            small = small.mean((1, 3)).astype(np.uint8)
            file.write(
                _tiles(small, height, width),
                shape=(height, width, 3),
                dtype=np.uint8,
                tile=(_TILE, _TILE),
                photometric="rgb",
                compression="jpeg",
                compressionargs={"level": 85},
                resolution=(resolution / 2**level,) * 2,
                resolutionunit="CENTIMETER",
                subfiletype=int(level > 0),
                metadata=None,
            )
            if max(height, width) <= 2 * _TILE:
                return path
            level, height, width = level + 1, height // 2, width // 2


def _tiles(image: np.ndarray, height: int, width: int) -> Iterator[np.ndarray]:
    """Tiles of the image repeated over so many px."""
    rows, columns = np.arange(_TILE), np.arange(_TILE)
    for top in range(0, height, _TILE):
        for left in range(0, width, _TILE):
            y, x = (rows + top) % len(image), (columns + left) % len(image)
            yield image[y[:, None], x]


def _ways(
    file: Path, folder: Path, batch: int
) -> tuple[dict[str, Callable[[], Any]], int, int, int]:
    """Name -> what is timed; the side of tiles, how many there are, and in a batch."""
    import openslide

    from cellrec_jax import cells
    from cellrec_jax.data.pixels import slides
    from cellrec_jax.io.console import Console
    from cellrec_jax.predict import compiled, stream
    from cellrec_jax.predict.slide import grid as grids
    from cellrec_jax.predict.slide import many, network, tissue
    from cellrec_jax.predict.slide.options import SlideOptions

    ready = untrained.predictor(experiments.load(CONFIG), _CLASSES, MPP, batch)
    params, state = ready.model.params, ready.model.model_state
    looker = network.make(ready)
    description = slides.describe(file)
    grid = grids.plan(description.levels, (1, 1), looker.own_px, looker.margin_px)
    side = grid.tile_px
    size = looker.network.batch or stream.batch_size((side, side))
    with slides.opened(file) as opened:
        small_px = tissue.side_of(description.levels[0].size_hw, MPP)
        mask = tissue.find(tissue.thumbnail(opened, small_px))
    tiles = np.argwhere(tissue.touched(mask, grid)).tolist()
    number = 0

    def slide_to_files() -> None:
        nonlocal number
        number += 1
        output = epath.Path(folder) / f"out{number}"
        many.predict_slides(ready, [file], output, Console(quiet=True), SlideOptions())

    def windows(images: np.ndarray) -> compiled.Windows:
        whole = np.full((len(images), 2), side, np.int32)
        return compiled.Windows(images, whole, np.ones(len(images), bool))

    def openslide_loop() -> None:
        with openslide.OpenSlide(os.fspath(file)) as slide:
            for row, column in tiles:
                y, x = grid.origin_yx(row, column)
                image = slide.read_region((x, y), 0, (side, side)).convert("RGB")
                found = jax.device_get(
                    looker.network.predict(
                        params, state, windows(np.asarray(image)[None])
                    )
                )
                part = cells.shift(cells.cells_of(found, 0), (y, x))
                owned = grid.owns(row, column, part.points_yx)
                cells.select(part, owned & (part.scores >= looker.thresholds.min()))

    resident = jax.device_put(windows(np.zeros((size, side, side, 3), np.uint8)))

    def network_alone() -> Any:
        return jax.block_until_ready(looker.network.predict(params, state, resident))

    ways = {
        "slide to files": slide_to_files,
        "OpenSlide loop": openslide_loop,
        "network alone": network_alone,
    }
    return ways, side, len(tiles), size
