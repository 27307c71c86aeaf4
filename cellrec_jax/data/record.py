"""One annotated image, and a set of them, as all of `data.readers` give them."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
import dataclasses
import types
from typing import Any, NamedTuple

from etils.epath import Path
import numpy as np

from cellrec_jax.data.shards import Shards


@dataclasses.dataclass(frozen=True)
class Record:
    """One image with its annotations, at its native size. (y, x), px, half-pixel."""

    image_id: str
    """Unique in its set; '/'-separated, no file ending."""
    image: np.ndarray
    """uint8 or uint16 [H, W, C], C = 3 (or 1 where asked for)."""
    points_yx: np.ndarray
    """f32 [N, 2] cell centres, inside [0, H) x [0, W)."""
    labels: np.ndarray
    """i32 [N] class ids 0..K-1."""
    boxes_yxyx: np.ndarray | None = None
    """f32 [N, 4] half-open boxes in the points' order, or None if there are none."""
    masks: np.ndarray | None = None
    """i32 [H, W] instance ids, 0 background; id i+1 belongs to points_yx[i]."""
    annotated: np.ndarray | None = None
    """bool [H, W], the exhaustively looked-at region; None is everywhere."""
    ignore: np.ndarray | None = None
    """bool [H, W], regions to leave out; None is nowhere."""
    group: str = ""
    """Slide or patient, for folds; "" where unknown (then the image is its own)."""
    mpp: float | None = None
    """Micrometres per px, where known."""
    num_cells: int | None = None
    """Cells that count, of which those here were drawn; None: these are all."""
    scores: np.ndarray | None = None
    """f32 [N], NaN where there is none: of cells that a model found; None of others."""
    trust: np.ndarray | None = None
    """f32 [N] in [0, 1] or -1, see `Batch.trust`; None: a person gave all."""
    repaired: Mapping[str, np.ndarray] = dataclasses.field(default_factory=dict)
    """What of `Repairs` was done where: f32 [n, 4] boxes as the file has them, perhaps
    inverted, outside or not finite; of points both corners are the point."""


class Part(NamedTuple):
    """Where an image lies on a slide, in px of level 0 from where QuPath crops it."""

    slide: str
    """Its id, as of an image."""
    origin_yx: tuple[float, float]
    """The image's corner."""
    scale_yx: tuple[float, float]
    """Px of the slide per px of the image."""

    def on_slide(self, places_yx: np.ndarray) -> np.ndarray:
        """Points [..., 2], or boxes [..., 4], of the image in px of the slide: f64."""
        times = places_yx.shape[-1] // 2
        scale, origin = (np.tile(one, times) for one in (self.scale_yx, self.origin_yx))
        moved: np.ndarray = places_yx.astype(np.float64) * scale + origin
        return moved


class Repairs(Counter[str]):
    """Description -> how often; what is found again in an image counts once."""

    def __init__(self, of_the_set: Mapping[str, int] = types.MappingProxyType({})):
        super().__init__(of_the_set)
        self.by_image: dict[str, dict[str, int]] = {}

    def count(self, image_id: str, found: Mapping[str, int]) -> None:
        """Adds what was repaired in one image, unless it is known."""
        known = self.by_image.setdefault(image_id, {})
        new = {what: number for what, number in found.items() if what not in known}
        known.update(new)
        self.update(new)


@dataclasses.dataclass(frozen=True)
class Source:
    """A readable set: ids known now, images read one at a time by `load`."""

    format: str
    """Name of the reader, or "synthetic"."""
    class_names: tuple[str, ...]
    image_ids: tuple[str, ...]
    """All images, naturally sorted (2 before 10)."""
    load: Callable[[str], Record]
    """image_id -> Record; raises `errors.DataError` on unusable files."""
    groups: Mapping[str, str] = dataclasses.field(default_factory=dict)
    """image_id -> slide or patient, where known."""
    repairs: Repairs = dataclasses.field(default_factory=Repairs)
    """What had to be repaired in the images read so far."""
    annotations: Callable[[str], Record] | None = None
    """As `load`, but with a `blank` image of its size; None where it saves nothing."""
    files: Callable[[str], Sequence[Path]] | None = None
    """image_id -> files that `annotations` reads; None: not of files."""
    parts: Mapping[str, Part] = dataclasses.field(default_factory=dict)
    """image_id -> where on its slide, of tiles of slides."""
    shards: Shards | None = None
    """Where TensorFlow finds the pixels of `load` by itself; None: it cannot."""


def blank(
    shape: Sequence[int], dtype: np.dtype | type[np.generic] = np.uint8
) -> np.ndarray:
    """Pixels to stand for an image that is not decoded, of one number in memory.

    `shape` is [H, W, C], or [H, W] for three channels.
    """
    height, width, channels = (*shape, 3)[:3]
    return np.broadcast_to(np.zeros((), dtype), (height, width, channels))


def changed(
    source: Source, change: Callable[[Record], Record], **fields: Any
) -> Source:
    """The same images with other annotations, and `fields` of the new source."""
    load, read = source.load, source.annotations
    return dataclasses.replace(
        source,
        load=lambda image_id: change(load(image_id)),
        annotations=None if read is None else lambda image_id: change(read(image_id)),
        **fields,
    )
