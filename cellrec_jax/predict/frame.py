"""The px of a network, and how images of any size are brought to them."""

from collections.abc import Iterator, Mapping, Sequence
import dataclasses
from typing import Any, NamedTuple

import numpy as np

from cellrec_jax.config import Experiment
from cellrec_jax.data import example, transforms
from cellrec_jax.predict import tiles
from cellrec_jax.predict import views as views_lib
from cellrec_jax.predict.views import View
from cellrec_jax.types import Traits

_SAME_SIZE = 0.05  # difference to the training images' size that resizing may hide
# With a short margin two tiles may place one cell on either side of their seam, nearer
# to each other than two cells are. Where the caller sets the margin only the fitted
# least distance counts, so that from the receptive radius on tiles give what the whole
# image does.
TWINS_PX = 2.2  # px of the network, so that two pixels apart is one cell

_NEAR = 1 / 8
"""Of the side of a cell: how far views may place one cell apart, see `views.join`."""
_ROWS = 256
RESIZED, WIDENED, TILED = "resized", "widened", "tiled"


class Placement(NamedTuple):
    """How an image of some size is brought to a network."""

    how: str
    """`RESIZED` as in training; else at the training images' scale, `WIDENED` to the
    network's window or `TILED`."""
    scaled_hw: tuple[int, int]
    """Size of the whole image in px of the network."""
    tiles: tuple[tiles.Tile, ...]
    """The windows, all of one size, in px of the network."""
    twins_px: float
    """Cells of two tiles below this distance, px of the network, are one."""


class Scene(NamedTuple):
    """An image that is brought to a network's scale, and where it is looked at."""

    key: Any
    """The caller's."""
    image: np.ndarray
    """uint8, or f32 in [0, 1], [h, w, 3], px of the network."""
    native_hw: tuple[int, int]
    """Size in the file, px."""
    placement: Placement
    ratio: float
    """Px of the training images per px of the file."""
    highest: float | None = None
    """Highest grey value, in [0, 1], for methods that ask for it."""
    looks: tuple["Look", ...] = ()
    """The views that are joined; none is the image itself."""
    near_px: float = 0.0
    """Of `views.join`, px of the file."""
    is_view: bool = False
    """Whether it is one of several views."""

    def parts(self) -> Iterator["Scene"]:
        """What the network sees, made one by one: itself, or its `looks`."""
        if not self.looks:
            yield self
        for view, placement in self.looks:
            turned = views_lib.turn(self.image, view)
            yield Scene(
                self.key,
                transforms.resize_image(turned, placement.scaled_hw),
                views_lib.turned_hw(self.native_hw, view),
                placement,
                self.ratio,
                self.highest,
                is_view=True,
            )

    def windows(self) -> list[int]:
        """How many windows of each view go through the network."""
        return [len(place.tiles) for place in self._places()]

    def seen(self, mpp: float) -> "Seen":
        """What was done to it, of `mpp` um per px.

        In all its views: one of the training images' size is as those were, however its
        views are cut.
        """
        how = self.placement.how
        if how != RESIZED:
            how = TILED if self.is_tiled() else WIDENED
        return Seen(how, self.native_hw, mpp, min(self.windows()))

    def is_tiled(self) -> bool:
        """Whether it, or one of its views, is cut into tiles."""
        return any(place.how == TILED for place in self._places())

    def _places(self) -> list[Placement]:
        return [look.placement for look in self.looks] or [self.placement]


class Look(NamedTuple):
    """A view of a scene, and where that is looked at."""

    view: View
    placement: Placement


@dataclasses.dataclass(frozen=True)
class Frame:
    """What a network was trained on, as far as the scale of images goes.

    An image within 5 % of the training images' size is resized as those were
    (`data.resize`). Any other is brought to their scale, by micrometres per px where
    both are known, and mirrored to `data.size_hw` or cut into tiles of that size, so
    that all share what is compiled.
    """

    native_hw: tuple[int, int]
    """Median size of the training images in their files, px."""
    mpp: float
    """Their micrometres per px; 0 is unknown."""
    size_hw: tuple[int, int]
    """What they were resized to: px of the network."""
    resize: str
    """"squeeze" or "pad"."""
    box_size: float
    """Side of a cell, px of the training images."""
    stride: int
    """px of the network; see `Traits.stride`."""
    intensity: str
    """See `example.scale_intensity`."""
    squeeze: bool = False
    """Resize images of any size as the training images, so that cells change size."""
    by_highest: bool = False
    """See `Traits.by_highest`."""
    views: tuple[View, ...] = ()
    """How each image is seen; none is as it is."""

    def scene(
        self, image: np.ndarray, mpp: float = 0.0, margin_px: int = 0, key: Any = None
    ) -> Scene:
        """Brings an image to the network's scale; arguments as `Predictor.predict`."""
        height, width = image.shape[:2]
        # Scaled for the whole image, so that equal pixels are equal in all tiles, and
        # resized before it is cut, so that tiles start on whole px of the network.
        image = example.scale_intensity(image, self.intensity)
        placement = self.place((height, width), mpp, margin_px)
        scaled = transforms.resize_image(image, placement.scaled_hw)
        highest = _highest(scaled) if self.by_highest else None
        ratio = self.ratio(mpp)
        looks = tuple(
            Look(view, self._seen(placement, view, margin_px)) for view in self.joined()
        )
        near_px = _NEAR * self.box_size / ratio
        native_hw = (height, width)
        return Scene(key, scaled, native_hw, placement, ratio, highest, looks, near_px)

    def joined(self) -> tuple[View, ...]:
        """The views whose cells are joined; none where images are seen as they are."""
        return () if self.views == views_lib.of(1, (1.0,)) else self.views

    def _seen(self, usual: Placement, view: View, margin_px: int) -> Placement:
        """Where a view of an image is looked at, that has a usual placement."""
        turned_hw = views_lib.turned_hw(usual.scaled_hw, view)
        if view.scale == 1 and turned_hw == usual.scaled_hw:
            return usual
        return self._at_scale(np.multiply(turned_hw, view.scale), margin_px)

    def place(
        self, image_hw: Sequence[int], mpp: float = 0.0, margin_px: int = 0
    ) -> Placement:
        """Where an image of this size is seen; arguments as `Predictor.predict`."""
        trained_hw = np.asarray(image_hw) * self.ratio(mpp)
        if self.squeeze or self._is_near(trained_hw):
            return self._resized(image_hw)
        return self._at_scale(trained_hw * self.scale(), margin_px)

    def _at_scale(self, wanted_hw: np.ndarray, margin_px: int) -> Placement:
        """An image of about this size, px of the network, widened or cut."""
        height, width = np.maximum(1, np.round(wanted_hw)).tolist()
        scaled_hw = int(height), int(width)
        cut = self._cut(scaled_hw, margin_px)
        how = TILED if len(cut) > 1 else WIDENED
        return Placement(how, scaled_hw, cut, 0.0 if margin_px else TWINS_PX)

    def ratio(self, mpp: float) -> float:
        """Px of the training images per px of an image of `mpp` um per px."""
        return mpp / self.mpp if mpp and self.mpp else 1.0

    def is_near(self, seen: "Seen") -> bool:
        """Whether an image has about the size of the training images."""
        return self._is_near(np.asarray(seen.native_hw) * self.ratio(seen.mpp))

    def _is_near(self, trained_hw: np.ndarray) -> bool:
        native_hw = np.asarray(self.native_hw)
        return bool((np.abs(trained_hw - native_hw) <= _SAME_SIZE * native_hw).all())

    def scale(self) -> np.ndarray:
        """Px of the network per px of the training images, f64 [2]."""
        return transforms.resize_scale(self.native_hw, self.size_hw, self.resize)

    def _resized(self, image_hw: Sequence[int]) -> Placement:
        """The whole image, as the training images were resized."""
        height, width = transforms.content_size(image_hw, self.size_hw, self.resize)
        whole = tiles.Tile((0, 0), self.size_hw, (0.0, 0.0, height, width))
        return Placement(RESIZED, (height, width), (whole,), 0.0)

    def _cut(
        self, scaled_hw: tuple[int, int], margin_px: int
    ) -> tuple[tiles.Tile, ...]:
        """Tiles of an image, all in px of the network but for `margin_px`."""
        least_hw = np.asarray(self.size_hw)
        margin_yx = np.ceil((margin_px or self.box_size) * self.scale()).astype(int)
        if not margin_px:  # margins fill half of a tile at most
            margin_yx = np.clip(margin_yx, 1, np.maximum(least_hw // 4, 1))
            return tiles.grid(scaled_hw, self.size_hw, margin_yx.tolist())
        # No larger than the image: what is mirrored changes what is found.
        tile_hw = np.minimum(2 * margin_yx + 4 * self.stride, scaled_hw)
        tile_hw = -(-np.maximum(least_hw, tile_hw) // self.stride) * self.stride
        return tiles.grid(scaled_hw, tile_hw.tolist(), margin_yx.tolist(), self.stride)


class Seen(NamedTuple):
    """What was done to an image, for telling."""

    how: str
    """Of `Placement`."""
    native_hw: tuple[int, int]
    mpp: float
    """Micrometres per px of the image; 0 is unknown."""
    windows: int = 1
    """Of the view that has the fewest."""


def lines(seen: Sequence[Seen], frame: Frame) -> list[str]:
    """Tells what was done to images that are not as those of the training."""
    found = []
    height, width = frame.native_hw
    odd = [one for one in seen if one.how != RESIZED]
    if odd:
        (first_y, first_x), tiled = odd[0].native_hw, sum(o.how == TILED for o in odd)
        done = [
            f"{len(odd) - tiled} mirrored at their edges",
            f"{tiled} cut into tiles",
        ]
        done = [line for line in done if not line.startswith("0 ")]
        found.append(
            f"{len(odd)} of {len(seen)} images (such as {first_y} x {first_x} px) are, "
            f"at the scale they are seen, not of the training images' size, {height} "
            f"x {width} px: {' and '.join(done)}"
        )
    far = [one for one in seen if one.how == RESIZED and not frame.is_near(one)]
    if far:
        found.append(
            f"warning: eval.resize=squeeze: {len(far)} of {len(seen)} images (such as "
            f"{far[0].native_hw[0]} x {far[0].native_hw[1]} px) are resized as the "
            f"training images, {height} x {width} px, so that cells change size"
        )
    mpps = sorted({one.mpp for one in seen if one.mpp})
    if mpps and not frame.mpp:
        found.append(
            f"warning: the images' {mpps[0]:g} um per px is ignored, since that of the "
            "training images is not known: give it by --mpp-trained"
        )
    if frame.mpp and any(not one.mpp for one in seen):
        found.append(
            f"warning: the training images' {frame.mpp:g} um per px is ignored where "
            "that of an image is not known: give it by --mpp (predict) or "
            "--config.data.mpp (evaluate)"
        )
    other = [mpp for mpp in mpps if abs(frame.ratio(mpp) - 1) > _SAME_SIZE]
    if other and not frame.squeeze:
        several = (
            f"{other[0]:g} to {other[-1]:g}" if len(other) > 1 else f"{other[0]:g}"
        )
        found.append(
            f"images of {several} um per px are resampled to the training images' "
            f"{frame.mpp:g}"
        )
    return found


def of(experiment: Experiment, meta: Mapping[str, Any], traits: Traits) -> Frame:
    """The frame of a network: `meta` has `native_hw` and `mpp` of its training."""
    data = experiment.data
    height, width = meta["native_hw"]
    return Frame(
        (int(height), int(width)),
        float(meta["mpp"]),
        (data.size_hw[0], data.size_hw[1]),
        data.resize,
        data.box_size,
        traits.stride,
        data.intensity,
        experiment.eval.resize == "squeeze",
        traits.by_highest,
        views_lib.of(experiment.eval.views, experiment.eval.view_scales),
    )


def _highest(image: np.ndarray) -> float:
    """Of the grey values of an image [H, W, C], in [0, 1]; few rows at a time."""
    parts = np.array_split(image, max(len(image) // _ROWS, 1))
    highest = max(float(part.mean(axis=2, dtype=np.float32).max()) for part in parts)
    return highest / 255 if image.dtype == np.uint8 else highest
