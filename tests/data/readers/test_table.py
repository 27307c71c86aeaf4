"""Images of one table: found by name, in px or micrometres; predictions read back."""

from pathlib import Path

import numpy as np
from PIL import Image
import pytest
import tifffile

from cellrec_jax.data.readers import listed, open_source
from cellrec_jax.errors import DataError
from cellrec_jax.io import table as io_table


def _image(root: Path, name: str) -> None:
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (40, 30)).save(root / name)


@pytest.mark.parametrize("name", ["a.png", "a", "sub/a.png"])
@pytest.mark.parametrize("folder", ["images", "."])
def test_images_by_name(name: str, folder: str, tmp_path: Path) -> None:
    for image in ("a.png", "b.png"):
        _image(tmp_path, f"{folder}/{image}")
    (tmp_path / "cells.csv").write_text(f"image,x,y,class\n{name},7.5,3,T\n")
    source = open_source(tmp_path)
    image_id = name.removesuffix(".png")
    assert (source.format, source.image_ids) == ("table", (image_id,))
    assert source.load(image_id).points_yx.tolist() == [[3, 7.5]]
    assert source.repairs == {listed.UNLISTED: 1}


def test_predictions_are_read_back(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    points = rng.uniform(0, 29, (20, 2)).astype(np.float32)
    scores, labels = rng.uniform(0, 1, 20), rng.integers(0, 2, 20)
    _image(tmp_path, "images/a.png")
    rows = io_table.detection_rows("a.png", points, scores, labels, ("S", "T"))
    io_table.write_detections(tmp_path / "detections.csv", rows)
    record = open_source(tmp_path).load("a")
    np.testing.assert_allclose(record.points_yx, points, atol=0.001)
    np.testing.assert_allclose(record.scores, scores, atol=1e-6)
    assert record.labels.tolist() == labels.tolist()


def test_micrometres_by_the_image(tmp_path: Path) -> None:
    resolution = {"resolution": (2e4, 2e4), "resolutionunit": "CENTIMETER"}
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((30, 40, 3), np.uint8), **resolution)
    head = "Image\tCentroid X µm\tCentroid Y µm\n"
    (tmp_path / "m.tsv").write_text(f"{head}a.tif\t5\t2.5\n", encoding="utf-8")
    np.testing.assert_allclose(open_source(tmp_path).load("a").points_yx, [[5, 10]])
    _image(tmp_path, "a.png")
    (tmp_path / "m.tsv").write_text(f"{head}a.png\t5\t2.5\n", encoding="utf-8")
    with pytest.raises(DataError, match="does not state its um per px"):
        open_source(tmp_path)


def test_a_table_of_one_image_is_another_format(tmp_path: Path) -> None:
    _image(tmp_path, "a.png")
    (tmp_path / "a.csv").write_text("image,x,y\na.png,7,3\n")
    assert open_source(tmp_path).format == "csv_points"
    (tmp_path / "a.csv").rename(tmp_path / "b.csv")
    (tmp_path / "b.csv").write_text("image,x,y\n../a.png,7,3\n")
    with pytest.raises(DataError, match="needs a name of its own"):
        open_source(tmp_path)
