"""Images on disk to tables, GeoJSON and overlays of their cells."""

from collections.abc import Sequence
import glob
from pathlib import Path
from typing import Any

from etils import epath
import numpy as np

from cellrec_jax import errors
from cellrec_jax.cells import Cells
from cellrec_jax.data import example
from cellrec_jax.data.pixels import files as pixel_files
from cellrec_jax.data.pixels import images
from cellrec_jax.io import geojson, overlay, palette, table
from cellrec_jax.io.console import Console
from cellrec_jax.predict.predictor import Predictor


def find_inputs(pattern: str) -> list[Path]:
    """Images that a file, folder or glob names, naturally sorted; DataError if none."""
    path = Path(pattern).expanduser()
    if path.is_dir():
        found = [Path(file) for file in pixel_files.list_images(path, recursive=True)]
    elif path.exists():
        found = [path]
    else:
        found = sorted(
            (Path(name) for name in glob.glob(str(path), recursive=True)),
            key=lambda p: pixel_files.natural_key(str(p)),
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
    output: epath.Path,
    console: Console,
    mpp: float = 0.0,
    margin_px: int = 0,
) -> list[str]:
    """Predicts files; writes one CSV, and a GeoJSON and an overlay for each.

    The latter in sub-folders of `output` as the images. `mpp`: um per px, 0 unknown;
    `margin_px` of `Predictor.predict`. Returns a message a file that could not be read.
    """
    rows: list[dict[str, Any]] = []
    failed: list[str] = []
    root = _common_root(paths)
    warning = predictor.model.method.traits.tile_warning
    for path in console.track(paths, "predicting"):
        try:
            image = images.load_image(path)
        except errors.DataError as error:
            failed.append(str(error))
            continue
        if warning and predictor.needs_tiles(image.shape[:2], mpp):
            console.line(warning)
            warning = ""
        found = predictor.predict(image, mpp, margin_px)
        name = path.relative_to(root).as_posix()
        rows += table.detection_rows(
            name, found.points_yx, found.scores, found.labels, predictor.class_names
        )
        _write_image(output / name, image, found, predictor.class_names)
    table.write_detections(output / "detections.csv", rows)
    console.line(
        f"{len(rows)} cells in {len(paths) - len(failed)} images; results: {output}"
    )
    return failed


def _write_image(
    path: epath.Path, image: np.ndarray, found: Cells, class_names: tuple[str, ...]
) -> None:
    """Writes `path`.geojson and `path`.overlay.png."""
    colors = palette.class_colors(len(class_names))
    geojson.write_geojson(
        path.with_name(f"{path.name}.geojson"),
        found.points_yx,
        found.scores,
        found.labels,
        class_names,
        colors,
    )
    drawn = overlay.draw_overlay(
        example.to_uint8(image),
        found.points_yx,
        found.scores,
        labels=found.labels if len(class_names) > 1 else None,
        score_threshold=0.0,
    )
    overlay.write_png(path.with_name(f"{path.name}.overlay.png"), drawn)


def _common_root(paths: Sequence[Path]) -> Path:
    parents = [set(path.parents) for path in paths]
    return max(set.intersection(*parents), key=lambda p: len(p.parts))
