"""Scenes to cells: the one path of evaluation, validation in training and prediction.

Windows of all scenes go through one compiled function in batches. The next batch is
read and cut in a thread while the network runs; each batch's results are fetched once.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent import futures
from typing import Any, NamedTuple, TypeVar

import jax
import numpy as np

from cellrec_jax import cells, geometry
from cellrec_jax.cells import Cells
from cellrec_jax.predict import views as views_lib
from cellrec_jax.predict.compiled import Predict, Windows
from cellrec_jax.predict.frame import RESIZED, Scene
from cellrec_jax.predict.tiles import Tile
from cellrec_jax.types import Detections

T = TypeVar("T")

_PX_BYTES = 1024  # of a GPU's memory, that a px of a window may take
_GPU_BATCH = (4, 32)  # least and most windows
_CPU_BATCH = 1  # more are no faster there


class Network(NamedTuple):
    """A compiled prediction with its weights on the device."""

    predict: Predict
    params: Any
    model_state: Any
    batch: int = 0
    """Windows at a time; 0 is chosen by the device."""


class _Window(NamedTuple):
    """A window of a scene."""

    scene: Scene
    tile: Tile
    image: np.ndarray


def predict_scenes(
    network: Network,
    scenes: Iterable[Scene],
    *,
    least_score: float = 0.0,
    on_windows: Callable[[int], None] | None = None,
) -> Iterator[tuple[Scene, Cells]]:
    """Yields each scene and its cells, best first, in px of its file.

    All cells inside of the image of at least `least_score`, however near to each other;
    only twins across seams are joined, and what the views of a scene find. `on_windows`
    is told how many windows are done.
    """
    waiting: deque[Scene] = deque()

    def parts() -> Iterator[Scene]:
        for scene in scenes:
            waiting.append(scene)
            yield from scene.parts()

    looks: list[Cells] = []
    for found in _predict_each(network, parts(), least_score, on_windows):
        scene = waiting[0]
        if not scene.looks:
            yield waiting.popleft(), found
            continue
        view = scene.looks[len(looks)].view
        looks.append(views_lib.back(found, view, scene.native_hw))
        if len(looks) == len(scene.looks):
            joined = views_lib.join(looks, scene.near_px)
            inside = geometry.inside(joined.points_yx, scene.native_hw)
            looks = []
            sure = inside & (joined.scores >= least_score)
            yield waiting.popleft(), cells.select(joined, sure)


def _predict_each(
    network: Network,
    scenes: Iterable[Scene],
    least_score: float,
    on_windows: Callable[[int], None] | None,
) -> Iterator[Cells]:
    """Cells of each scene or view; of a view whatever their score."""
    parts: list[Cells] = []
    done = 0
    for views, found in run(network, _batches(scenes, network.batch)):
        for row, (scene, tile, _) in enumerate(views):
            part = cells.cells_of(found, row)
            least = views_lib.LEAST if scene.is_view else least_score
            part = cells.select(part, part.scores >= least)
            part = cells.shift(part, tile.origin_yx)
            parts.append(cells.select(part, tile.owns(part.points_yx)))
            if len(parts) == len(scene.placement.tiles):
                yield _joined(scene, parts)
                parts = []
        done += len(views)
        if on_windows:
            on_windows(done)


def batch_size(window_hw: Sequence[int]) -> int:
    """How many windows of this size, px, a device takes at a time."""
    device = jax.local_devices()[0]
    if device.platform == "cpu":
        return _CPU_BATCH
    least, most = _GPU_BATCH
    stats = device.memory_stats() or {}
    room = stats.get("bytes_limit", 0) // (window_hw[0] * window_hw[1] * _PX_BYTES)
    return max(least, min(most, 1 << max(int(room).bit_length() - 1, 0)))


def run(
    network: Network, batches: Iterator[tuple[T, Windows]]
) -> Iterator[tuple[T, Detections]]:
    """Predictions on the host; while one batch is fetched the next one is computed.

    What is given with a batch comes back with what was found in it.
    """
    device = jax.local_devices()[0]  # for all, else each place compiles its own
    weights = network.params, network.model_state
    params, model_state = jax.device_put(weights, device)
    running: tuple[T, Detections] | None = None
    for views, windows in _ahead(batches):
        found = network.predict(params, model_state, jax.device_put(windows, device))
        if running:
            yield running[0], jax.device_get(running[1])
        running = views, found
    if running:
        yield running[0], jax.device_get(running[1])


def _ahead(items: Iterator[T]) -> Iterator[T]:
    """The items; each is made in a thread while the caller has the one before."""
    with futures.ThreadPoolExecutor(1) as pool:
        following = pool.submit(next, items, None)
        while (item := following.result()) is not None:
            following = pool.submit(next, items, None)
            yield item


def _batches(
    scenes: Iterable[Scene], size: int
) -> Iterator[tuple[list[_Window], Windows]]:
    """Windows of one shape in batches of one size; a lone one goes alone."""
    views: list[_Window] = []
    most, filled = 1, False
    for scene in scenes:
        mirror = scene.placement.how != RESIZED
        for tile in scene.placement.tiles:
            image = tile.cut(scene.image, mirror=mirror)
            if views and _kind(image) != _kind(views[0].image):
                yield views, _stack(views, most if filled or len(views) > 1 else 1)
                views, filled = [], False
            most = size or batch_size(image.shape[:2])
            views.append(_Window(scene, tile, image))
            if len(views) == most:
                yield views, _stack(views, most)
                views, filled = [], True
    if views:
        yield views, _stack(views, most if filled or len(views) > 1 else 1)


def _kind(image: np.ndarray) -> tuple[Any, ...]:
    return image.shape, image.dtype


def _stack(views: Sequence[_Window], size: int) -> Windows:
    """A batch of `size`, with fillers after the views."""
    rows = np.minimum(np.arange(size), len(views) - 1)
    content_hw = [
        view.scene.placement.scaled_hw
        if view.scene.placement.how == RESIZED
        else view.tile.size_hw
        for view in views
    ]
    highest = [view.scene.highest for view in views]
    return Windows(
        np.stack([views[row].image for row in rows]),
        np.array(content_hw, np.int32)[rows],
        np.arange(size) < len(views),
        None if None in highest else np.array(highest, np.float32)[rows],
    )


def _joined(scene: Scene, parts: Sequence[Cells]) -> Cells:
    """The cells of a scene's tiles, px of the network, in the frame of its file."""
    number = np.repeat(np.arange(len(parts)), [len(part) for part in parts])
    found = cells.concatenate(parts)
    if len(parts) > 1:
        found = cells.drop_twins(found, number, scene.placement.twins_px)
        found = cells.sort(found)
    back = np.divide(scene.native_hw, scene.placement.scaled_hw).astype(np.float32)
    found = cells.rescale(found, back)
    return cells.select(found, geometry.inside(found.points_yx, scene.native_hw))
