"""Uses a trained work directory on images, from Python.

model = cellrec_jax.load("runs/ki67")
cells = model.predict(image)          # uint8 or uint16 [H, W, 3]
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
import dataclasses
from typing import Any

from etils import epath
import numpy as np

from cellrec_jax import cells, errors, models
from cellrec_jax.cells import Cells
from cellrec_jax.config import limits
from cellrec_jax.metrics import suppression
from cellrec_jax.predict import frame as frames
from cellrec_jax.predict import stream
from cellrec_jax.predict.compiled import Predict, jit_predict
from cellrec_jax.predict.frame import Frame, Scene
from cellrec_jax.workdir import model as model_lib


@dataclasses.dataclass(frozen=True)
class Predictor:
    """A trained model, compiled on first use."""

    model: model_lib.Model
    compiled: Predict
    batch: int = 0
    """Windows that the network takes at a time; 0 is chosen by the device."""

    def __repr__(self) -> str:
        """That of the model."""
        return repr(self.model)

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the classes that labels count."""
        return self.model.class_names

    @property
    def frame(self) -> Frame:
        """What the network was trained on, as far as the scale of images goes."""
        model = self.model
        return frames.of(model.experiment, model.meta, model.method.traits)

    @property
    def network(self) -> stream.Network:
        """The compiled prediction with its weights."""
        model = self.model
        return stream.Network(
            self.compiled, model.params, model.model_state, self.batch
        )

    def once(self) -> "Predictor":
        """One that sees each image once, whatever `eval.views` of the model."""
        return dataclasses.replace(self, model=self.model.once())

    def view_lines(self) -> list[str]:
        """That images are seen in several views, where they are."""
        number = len(self.frame.views)
        if number < 2:
            return []
        return [f"each image is seen in {number} views; --quick sees it once"]

    def predict(
        self,
        image: np.ndarray,
        mpp: float = 0.0,
        margin_px: int = 0,
        on_windows: Callable[[int], None] | None = None,
    ) -> Cells:
        """Detects cells above the thresholds that were fitted on validation images.

        An image within 5 % of the training images' size is resized as those were. Any
        other is brought to their scale, by `mpp` where both are known, and mirrored to
        their size or cut into overlapping tiles of it, so that all share what is
        compiled. Evaluation does the same.

        With a relative `model.peak_rule` `heatmap_pu` measures each tile by its own
        range of heights, so that one without cells has peaks too: train with "absolute"
        if images need tiles.

        Args:
          image: uint8 or uint16 [H, W, 3] (or [H, W, 1], repeated).
          mpp: micrometres per px; 0 is unknown.
          margin_px: of tiles, px of the training images; 0 is the side of a box. From
            the receptive radius of the network on (352 for a ResNet-50 and the heads of
            `point_matching`; twice that if `data.size_hw` halves the images) tiles give
            what the whole image does, but for configs/README.md, Large images. Tiles
            grow with it.
          on_windows: told how many windows are done.

        Returns cells in px of `image`. DataError for no image, ValueError for a margin
        < 0 or an `mpp` that is no pixel size.
        """
        scene = self.scene(image, mpp, margin_px)
        ((_, found),) = self.predict_many([scene], on_windows)
        return found

    def scene(
        self, image: np.ndarray, mpp: float = 0.0, margin_px: int = 0, key: Any = None
    ) -> Scene:
        """An image for `predict_many`; arguments and errors as `predict`."""
        if margin_px < 0:
            raise ValueError(f"margin_px is {margin_px}: give 0 or more")
        if mpp and not limits.is_pixel_size(mpp):
            raise ValueError(f"mpp is {mpp}: give 0.02 to 20 um per px, 0 if unknown")
        return self.frame.scene(_check_image(image), mpp, margin_px, key)

    def predict_many(
        self,
        scenes: Iterable[Scene],
        on_windows: Callable[[int], None] | None = None,
        *,
        all_scores: bool = False,
    ) -> Iterator[tuple[Scene, Cells]]:
        """Yields scenes and their cells, in order, as `predict`.

        Windows of several images share batches: faster than one image after the other
        where these are small. The next images are read meanwhile, in a thread.
        `all_scores` yields all that the network finds, see `kept_cells`.
        """
        decode = self.model.meta["decode"]
        for scene, found in stream.predict_scenes(
            self.network,
            scenes,
            least_score=0.0 if all_scores else min(decode["thresholds"]),
            on_windows=on_windows,
        ):
            if not all_scores:
                found = at_operating_point(found, decode, scene.ratio)
            yield scene, dataclasses.replace(found, class_names=self.class_names)


def at_operating_point(
    found: Cells, decode: Mapping[str, Any], ratio: float = 1.0
) -> Cells:
    """Cells that are apart and above their class's threshold, best first.

    `decode` as in a model's `meta`, `ratio` of `Frame.ratio`.
    """
    return cells.select(found, kept_cells(found, decode, ratio))


def kept_cells(
    found: Cells, decode: Mapping[str, Any], ratio: float = 1.0
) -> np.ndarray:
    """Marks, bool [M], what `at_operating_point` keeps.

    As evaluation: a cell below its threshold still drops lesser ones near it.
    """
    distance = decode["min_distance"] / ratio
    apart = suppression.suppress(found.points_yx, found.scores, distance)
    sure = found.scores >= np.asarray(decode["thresholds"])[found.labels]
    return apart & sure


def load(
    workdir: epath.PathLike,
    which: str = "last",
    batch: int = 0,
    threshold: float = 0.0,
    *,
    quick: bool = False,
) -> Predictor:
    """Loads a trained work directory, a model file, or a shipped model by its name.

    Of a work directory, which wins over a name, `which` is "last" or "best" on
    validation.
    `batch` windows go through the network at a time; 0 is chosen by the device.
    `threshold` of all classes replaces the stored ones; 0 keeps them. `quick` sees each
    image once, whatever `eval.views` of the model. CheckpointError if it holds no
    readable checkpoint.
    """
    model = model_lib.restore(models.find(workdir), which)
    model = model.once() if quick else model
    return of(model.at_threshold(threshold), batch)


def of(model: model_lib.Model, batch: int = 0) -> Predictor:
    """A predictor of a model in memory; `batch` as of `load`."""
    compiled = jit_predict(model.method, len(model.class_names))
    return Predictor(model, compiled, batch)


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
