"""Uses a trained work directory on images, from Python.

model = cellrec_jax.load("runs/ki67")
cells = model.predict(image)          # uint8 or uint16 [H, W, 3]
"""

import dataclasses

from etils import epath
import numpy as np

from cellrec_jax import cells, errors, geometry
from cellrec_jax.cells import Cells
from cellrec_jax.data import arrays, example, sets, transforms
from cellrec_jax.data.record import Record
from cellrec_jax.predict import tiles
from cellrec_jax.predict.compiled import Predict, jit_predict
from cellrec_jax.workdir import model as model_lib

_SAME_SIZE = 0.05  # difference to the training images' size that resizing may hide
_ONE_PASS = 1.5  # times the training images' sides, up to which nothing is cut
# With a short margin two tiles may place one cell on either side of their seam, nearer
# to each other than two cells are. Where the caller sets the margin only the fitted
# least distance counts, so that from the receptive radius on tiles give what the whole
# image does.
_TWINS_PX = 2.2  # px of the network, so that two pixels apart is one cell


@dataclasses.dataclass(frozen=True)
class Predictor:
    """A trained model, compiled on first use."""

    model: model_lib.Model
    compiled: Predict

    def __repr__(self) -> str:
        """That of the model."""
        return repr(self.model)

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the classes that labels count."""
        return self.model.class_names

    def predict(self, image: np.ndarray, mpp: float = 0.0, margin_px: int = 0) -> Cells:
        """Detects cells above the thresholds that were fitted on validation images.

        An image within 5 % of the training images' size is resized as those were. Any
        other is brought to their scale, by `mpp` where both are known. One pass if
        neither side is over 1.5 times theirs, else overlapping tiles. Smaller ones are
        mirrored to their size, so that all share what is compiled; each larger size of
        a pass is compiled once, which takes longer than predicting.

        `heatmap_pu` divides each tile by its own brightest pixel; with a relative
        `model.peak_rule` also by its own range of heights, so that one without cells
        has peaks too: train with "absolute" if images need tiles.

        Args:
          image: uint8 or uint16 [H, W, 3] (or [H, W, 1], repeated).
          mpp: micrometres per px; 0 is unknown.
          margin_px: of tiles, px of the training images; 0 is the side of a box. From
            the receptive radius of the network on (352 for a ResNet-50 and the heads of
            `point_matching`; twice that if `data.size_hw` halves the images) tiles give
            what the whole image does, but for configs/README.md, Large images. Tiles
            grow with it, and those at far edges are each compiled once.

        Returns cells in px of `image`. DataError for no image, ValueError for a margin
        < 0.
        """
        if margin_px < 0:
            raise ValueError(f"margin_px is {margin_px}: give 0 or more")
        data = self.model.experiment.data
        # Scaled for the whole image, so that equal pixels are equal in all tiles.
        image = example.scale_intensity(_check_image(image), data.intensity)
        size_hw = self._trained_size(image.shape[:2], mpp)
        if self.model.takes_whole(size_hw.tolist(), _SAME_SIZE):
            found = self._predict_pass(image, data.size_hw)
        else:
            found = self._predict_scaled(image, mpp, margin_px)
        found = cells.select(found, geometry.inside(found.points_yx, image.shape[:2]))
        return dataclasses.replace(found, class_names=self.class_names)

    def needs_tiles(self, image_hw: tuple[int, int], mpp: float = 0.0) -> bool:
        """Whether `predict` cuts an image of this size, px, into tiles."""
        most_hw = _ONE_PASS * np.asarray(self.model.meta["native_hw"])
        return bool(np.any(self._trained_size(image_hw, mpp) > most_hw))

    def _trained_size(self, image_hw: tuple[int, ...], mpp: float) -> np.ndarray:
        """Size, f64 [2], that an image has at the training images' px."""
        trained = float(self.model.meta["mpp"])
        return np.asarray(image_hw) * (mpp / trained if mpp and trained else 1.0)

    def _network_scale(self) -> np.ndarray:
        """Px of the network per px of the training images, f64 [2]."""
        data = self.model.experiment.data
        native_hw = self.model.meta["native_hw"]
        return transforms.resize_scale(native_hw, data.size_hw, data.resize)

    def _predict_pass(self, image: np.ndarray, size_hw: tuple[int, ...]) -> Cells:
        """Predicts one image as evaluation does, resized to `size_hw`."""
        record = Record(
            "image", image, np.zeros((0, 2), np.float32), np.zeros(0, np.int32)
        )
        spec = sets.evaluation_spec(self.model.experiment.data)
        spec = dataclasses.replace(
            spec, size_hw=(size_hw[0], size_hw[1]), boxes="points"
        )
        prepared = example.prepare(record, spec)
        detections = self.compiled(
            self.model.params,
            self.model.model_state,
            arrays.stack([prepared]),
            self.model.decode,
        )
        return cells.rescale(cells.cells_of(detections, 0), 1.0 / prepared.scale_yx)

    def _predict_scaled(self, image: np.ndarray, mpp: float, margin_px: int) -> Cells:
        """Predicts one image at the training images' scale, in a pass or in tiles."""
        image_hw = image.shape[:2]
        size_hw = self._trained_size(image_hw, mpp) * self._network_scale()
        height, width = (max(1, round(side)) for side in size_hw.tolist())
        # Resized before it is cut, so that tiles start on whole px of the network.
        scaled = transforms.resize_image(image, (height, width))
        scaled = tiles.pad_mirror(scaled, self.model.experiment.data.size_hw)
        if self.needs_tiles(image_hw, mpp):
            found = self._predict_tiles(scaled, margin_px)
        else:
            found = self._predict_pass(scaled, scaled.shape[:2])
        back = np.divide(image_hw, (height, width)).astype(np.float32)
        return cells.rescale(found, back)

    def _predict_tiles(self, image: np.ndarray, margin_px: int) -> Cells:
        """Predicts an image, px of the network, in tiles that overlap."""
        parts = []
        for tile in self._tiles(image.shape[:2], margin_px):
            window = tile.cut(image)
            found = self._predict_pass(window, window.shape[:2])
            found = cells.shift(found, tile.origin_yx)
            parts.append(cells.select(found, tile.owns(found.points_yx)))
        number = np.repeat(np.arange(len(parts)), [len(part) for part in parts])
        merged = cells.concatenate(parts)
        least = float(self.model.decode.min_distance)
        distance = least if margin_px else max(least, _TWINS_PX)
        return cells.sort(cells.drop_twins(merged, number, distance))

    def _tiles(self, size_hw: tuple[int, ...], margin_px: int) -> list[tiles.Tile]:
        """Tiles of an image, all in px of the network but for `margin_px`."""
        data = self.model.experiment.data
        least_hw = np.asarray(data.size_hw)
        margin = (margin_px or data.box_size) * self._network_scale()
        margin_yx = np.ceil(margin).astype(int)
        if not margin_px:  # one shape, so one compilation; margins fill half at most
            margin_yx = np.clip(margin_yx, 1, least_hw // 4)
            return tiles.grid(size_hw, least_hw.tolist(), margin_yx.tolist())
        stride = self.model.method.traits.stride
        tile_hw = np.maximum(least_hw, 2 * margin_yx + 4 * stride)
        return tiles.grid(size_hw, tile_hw.tolist(), margin_yx.tolist(), stride)


def load(workdir: epath.PathLike, which: str = "last") -> Predictor:
    """Loads a trained work directory, alone; `which` is "last" or "best" on validation.

    CheckpointError if it holds no readable checkpoint.
    """
    model = model_lib.restore(epath.Path(workdir), which)
    return Predictor(model, jit_predict(model.method))


def _check_image(image: np.ndarray) -> np.ndarray:
    image = np.asarray(image)
    if image.ndim == 2:
        image = image[:, :, None]
    fits = image.ndim == 3 and image.shape[2] in (1, 3) and image.size > 0
    if not fits or image.dtype not in (np.uint8, np.uint16):
        raise errors.DataError(
            f"array {image.dtype} {image.shape} is no image: give uint8 or uint16 "
            "[height, width, 3]"
        )
    return np.repeat(image, 3, axis=2) if image.shape[2] == 1 else image
