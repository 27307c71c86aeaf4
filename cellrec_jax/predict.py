"""Uses a trained work directory on images: from Python, or on files.

model = cellrec_jax.load("runs/ki67")
cells = model.predict(image)          # uint8 or uint16 [H, W, 3]
"""

from collections.abc import Sequence
import dataclasses
import glob
import itertools
from pathlib import Path
from typing import Any

import numpy as np

from cellrec_jax import errors, geometry
from cellrec_jax.data import arrays, example, images, sets, tiles, transforms
from cellrec_jax.data.record import Record
from cellrec_jax.io import geojson, overlay, palette, table
from cellrec_jax.metrics import suppression
from cellrec_jax.train import evaluate
from cellrec_jax.train import model as model_lib
from cellrec_jax.train.console import Console
from cellrec_jax.train.evaluate import Cells


@dataclasses.dataclass(frozen=True)
class Predictor:
    """A trained model, compiled on first use."""

    model: model_lib.Model
    compiled: evaluate.Predict

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the classes that labels count."""
        return self.model.class_names

    def predict(self, image: np.ndarray, mpp: float = 0.0, margin_px: int = 0) -> Cells:
        """Detects cells above the thresholds that were fitted on validation images.

        Where `mpp` and the training images' are both known, the image is rescaled to
        the latter. An image of about the training images' size is predicted whole, as
        in evaluation; others in overlapping tiles of that size.

        Args:
          image: uint8 or uint16 [H, W, 3] (or [H, W, 1], repeated).
          mpp: micrometres per px; 0 is unknown.
          margin_px: of tiles, px of the training images; 0 is the side of a box. From
            the receptive radius of the network on (352 for a ResNet-50 and the heads of
            `point_matching`) tiles give what the whole image does. Not quite so with
            GroupNorm, which averages over what it sees: F1 within 12 px moved by 0.002
            at most (README, Point annotations). Tiles grow with the margin, and those
            at the far edges have sizes of their own, each compiled once.

        Returns:
          The cells, in px of `image`.

        Raises:
          DataError: if the array is no image.
          ValueError: if the margin is negative.
        """
        if margin_px < 0:
            raise ValueError(f"margin_px is {margin_px}: give 0 or more")
        # Scaled once for the whole image: tiles must not differ in contrast.
        data = self.model.experiment.data
        image = example.scale_intensity(_check_image(image), data.intensity)
        trained = float(self.model.meta["mpp"])
        scale = mpp / trained if mpp and trained else 1.0
        size_hw = tuple(max(1, round(side * scale)) for side in image.shape[:2])
        scaled = image
        if size_hw != image.shape[:2]:
            scaled = transforms.resize_image(image, size_hw)
        if self.model.takes_whole(size_hw):
            cells = self._predict_tile(scaled, self.model.experiment.data.size_hw)
        else:
            cells = self._predict_tiles(scaled, margin_px)
        back = np.asarray(image.shape[:2], np.float32) / np.asarray(size_hw, np.float32)
        return _rescale(cells, back)

    def _predict_tile(self, tile: np.ndarray, size_hw: tuple[int, int]) -> Cells:
        """Predicts one image as evaluation does, resized to `size_hw`."""
        record = Record(
            "image", tile, np.zeros((0, 2), np.float32), np.zeros(0, np.int32)
        )
        spec = sets.evaluation_spec(self.model.experiment.data)
        spec = dataclasses.replace(spec, size_hw=size_hw)
        prepared = example.prepare(record, spec)
        detections = self.compiled(
            self.model.params,
            self.model.model_state,
            arrays.stack([prepared]),
            self.model.decode,
        )
        cells = evaluate.cells_of(detections, 0)
        cells = _rescale(cells, 1.0 / prepared.scale_yx)
        return _select(cells, geometry.inside(cells.points_yx, tile.shape[:2]))

    def _predict_tiles(self, image: np.ndarray, margin_px: int) -> Cells:
        """Predicts overlapping tiles; each keeps what lies nearer to its middle."""
        box = max(1, round(self.model.experiment.data.box_size))
        native_hw = np.asarray(self.model.meta["native_hw"])
        margin, stride, tile_hw = box, 1, native_hw  # one shape, so one compilation
        if margin_px:
            margin, stride = margin_px, self.model.method.stride
            tile_hw = np.maximum(native_hw, 2 * margin + 4 * stride)
        scale_yx = np.asarray(self.model.experiment.data.size_hw) / native_hw
        padded = tiles.pad_white(image, native_hw)
        rows, columns = (
            tiles.spans(length, min(int(tile), length), margin, stride)
            for length, tile in zip(padded.shape[:2], tile_hw, strict=True)
        )
        parts: list[Cells] = []
        for (y0, y1, top, bottom), (x0, x1, left, right) in itertools.product(
            rows, columns
        ):
            height, width = np.rint(scale_yx * (y1 - y0, x1 - x0)).astype(int)
            tile = padded[y0:y1, x0:x1]
            cells = self._predict_tile(tile, (int(height), int(width)))
            cells = _shift(cells, np.array([[y0, x0]], np.float32))
            y, x = cells.points_yx.T
            own = (y >= top) & (y < bottom) & (x >= left) & (x < right)
            parts.append(_select(cells, own))
        number = np.repeat(np.arange(len(parts)), [len(p.scores) for p in parts])
        merged = _drop_twins(_concatenate(parts), number, box / 4)
        return _select(merged, geometry.inside(merged.points_yx, image.shape[:2]))


def load(workdir: str | Path, which: str = "last") -> Predictor:
    """Loads a trained work directory; the folder alone is needed.

    Args:
      workdir: of a training run.
      which: "last", or "best" on validation images.

    Raises:
      CheckpointError: if it holds no readable checkpoint.
    """
    model = model_lib.restore(Path(workdir), which)
    return Predictor(model, evaluate.jit_predict(model.method))


def find_inputs(pattern: str) -> list[Path]:
    """Images that a file, folder or glob names, naturally sorted.

    Raises:
      DataError: if there are none.
    """
    path = Path(pattern).expanduser()
    if path.is_dir():
        found = images.list_images(path, recursive=True)
    elif path.exists():
        found = [path]
    else:
        found = sorted(
            (Path(name) for name in glob.glob(str(path), recursive=True)),
            key=lambda p: images.natural_key(str(p)),
        )
    if not found:
        raise errors.DataError(
            f"--input {pattern}: no images there; give a file, a folder or a quoted "
            "pattern such as 'images/*.png'"
        )
    return found


def predict_files(
    predictor: Predictor,
    paths: Sequence[Path],
    output: Path,
    console: Console,
    mpp: float = 0.0,
    margin_px: int = 0,
) -> list[str]:
    """Predicts files; writes one CSV, and a GeoJSON and an overlay for each.

    The latter lie in sub-folders as the images do. A file that cannot be read does not
    stop the others.

    Args:
      predictor: from `load`.
      paths: image files.
      output: folder, made if needed.
      console: shows progress.
      mpp: micrometres per px of the files; 0 is unknown.
      margin_px: of tiles, see `Predictor.predict`.

    Returns:
      One message for each file that could not be read.
    """
    rows: list[dict[str, Any]] = []
    failed: list[str] = []
    root = _common_root(paths)
    for path in console.track(paths, "predicting"):
        try:
            image = images.load_image(path)
        except errors.DataError as error:
            failed.append(str(error))
            continue
        cells = predictor.predict(image, mpp, margin_px)
        name = path.relative_to(root).as_posix()
        rows += table.detection_rows(
            name, cells.points_yx, cells.scores, cells.labels, predictor.class_names
        )
        _write_image(output / name, image, cells, predictor.class_names)
    table.write_detections(output / "detections.csv", rows)
    console.line(
        f"{len(rows)} cells in {len(paths) - len(failed)} images; results: {output}"
    )
    return failed


def _write_image(
    path: Path, image: np.ndarray, cells: Cells, class_names: tuple[str, ...]
) -> None:
    """Writes `path`.geojson and `path`.overlay.png."""
    colors = palette.class_colors(len(class_names))
    geojson.write_geojson(
        path.with_name(f"{path.name}.geojson"),
        cells.points_yx,
        cells.scores,
        cells.labels,
        class_names,
        colors,
    )
    drawn = overlay.draw_overlay(
        example.to_uint8(image),
        cells.points_yx,
        cells.scores,
        labels=cells.labels if len(class_names) > 1 else None,
        score_threshold=0.0,
    )
    overlay.write_png(path.with_name(f"{path.name}.overlay.png"), drawn)


def _common_root(paths: Sequence[Path]) -> Path:
    parents = [set(path.parents) for path in paths]
    return max(set.intersection(*parents), key=lambda p: len(p.parts))


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


def _drop_twins(cells: Cells, tile: np.ndarray, distance: float) -> Cells:
    """Drops the lesser of two cells of different tiles that are one cell.

    Two cells of one tile stay: the model has told them apart.
    """
    # The next number up, so that a pair at the distance itself counts.
    distance = np.nextafter(distance, np.inf)
    kept = suppression.suppress(cells.points_yx, cells.scores, distance, groups=tile)
    cells = _select(cells, kept)
    return _select(cells, np.argsort(-cells.scores, kind="stable"))


def _select(cells: Cells, index: np.ndarray) -> Cells:
    boxes = cells.boxes_yxyx
    return Cells(
        cells.points_yx[index],
        cells.scores[index],
        cells.labels[index],
        cells.class_probs[index],
        None if boxes is None else boxes[index],
    )


def _concatenate(parts: Sequence[Cells]) -> Cells:
    boxes = [part.boxes_yxyx for part in parts if part.boxes_yxyx is not None]
    return Cells(
        np.concatenate([part.points_yx for part in parts]),
        np.concatenate([part.scores for part in parts]),
        np.concatenate([part.labels for part in parts]),
        np.concatenate([part.class_probs for part in parts]),
        np.concatenate(boxes) if boxes else None,
    )


def _shift(cells: Cells, origin_yx: np.ndarray) -> Cells:
    boxes = cells.boxes_yxyx
    return cells._replace(
        points_yx=geometry.tile_to_slide(cells.points_yx, origin_yx),
        boxes_yxyx=None if boxes is None else boxes + np.tile(origin_yx, 2),
    )


def _rescale(cells: Cells, scale_yx: np.ndarray) -> Cells:
    boxes = cells.boxes_yxyx
    return cells._replace(
        points_yx=geometry.resize_points(cells.points_yx, scale_yx[None]),
        boxes_yxyx=None if boxes is None else boxes * np.tile(scale_yx, 2)[None],
    )
