"""Annotations of another size than the picture: refused, or turned with it."""

from collections import Counter
from collections.abc import Callable
import json
from pathlib import Path

import numpy as np
from PIL import Image
import pytest

from cellrec_jax.data.pixels import images, orientation
from cellrec_jax.data.readers import frames, open_source
from cellrec_jax.data.record import Record
from cellrec_jax.errors import DataError

STORED_HW = (40, 60)
SPOT_YX = (7, 21)  # the one bright pixel, in the stored picture


def _picture(path: Path, value: int = 6) -> None:
    pixels = np.zeros((*STORED_HW, 3), np.uint8)
    pixels[SPOT_YX] = 255
    image = Image.fromarray(pixels)
    exif = image.getexif()
    exif[orientation.TAG] = value
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, exif=exif)


def _coco(root: Path, size_hw: tuple[int, int], point_yx: tuple[int, int]) -> None:
    _picture(root / "images/a.png")
    height, width = size_hw
    y, x = point_yx
    box = {"id": 1, "image_id": 1, "category_id": 1, "bbox": [x, y, 1, 1]}
    content = {
        "images": [{"id": 1, "file_name": "a.png", "width": width, "height": height}],
        "annotations": [box],
        "categories": [{"id": 1, "name": "cell"}],
    }
    (root / "c.json").write_text(json.dumps(content))


def _voc(root: Path, size_hw: tuple[int, int], point_yx: tuple[int, int]) -> None:
    _picture(root / "JPEGImages/a.png")
    height, width = size_hw
    y, x = point_yx
    (root / "Annotations").mkdir()
    (root / "Annotations/a.xml").write_text(
        f"<annotation><size><width>{width}</width><height>{height}</height></size>"
        f"<object><name>cell</name><bndbox><xmin>{x}</xmin><ymin>{y}</ymin>"
        f"<xmax>{x + 2}</xmax><ymax>{y + 2}</ymax></bndbox></object></annotation>"
    )


def _plane(folder: str) -> Callable[..., None]:
    def write(root: Path, size_hw: tuple[int, int], point_yx: tuple[int, int]) -> None:
        _picture(root / "images/a.png")
        plane = np.zeros(size_hw, np.uint8)
        plane[point_yx] = 1
        (root / folder).mkdir()
        Image.fromarray(plane).save(root / folder / "a.png")

    return write


def _instances(root: Path, size_hw: tuple[int, int], point_yx: tuple[int, int]) -> None:
    _plane("masks")(root / "a", size_hw, point_yx)
    (root / "a/masks/a.png").rename(root / "a/masks/1.png")


LAYOUTS = {
    "coco": _coco,
    "voc": _voc,
    "label_images": _plane("labels"),
    "dot_maps": _plane("dots"),
    "instance_masks": _instances,
}


def _bright(image: np.ndarray) -> list[int]:
    return np.argwhere(image[..., 0] > 0)[0].tolist()


@pytest.mark.parametrize("name", LAYOUTS)
def test_annotations_of_the_stored_picture_are_turned(
    name: str, tmp_path: Path
) -> None:
    LAYOUTS[name](tmp_path, STORED_HW, SPOT_YX)
    source = open_source(tmp_path)
    assert source.format == name
    for read in (source.load, source.annotations):
        record = read("a")
        assert record.image.shape == (60, 40, 3)
        # Clockwise: the stored row 7 of 40 becomes the column 32.
        (pixel_yx,) = np.floor(record.points_yx).astype(int).tolist()
        assert pixel_yx == [21, 32]
    assert _bright(source.load("a").image) == [21, 32]
    assert source.repairs == {frames.TURNED: 1, images.TURNED: 1}


@pytest.mark.parametrize("name", LAYOUTS)
def test_annotations_of_the_shown_picture_stay(name: str, tmp_path: Path) -> None:
    LAYOUTS[name](tmp_path, (60, 40), (21, 32))
    source = open_source(tmp_path)
    record = source.load("a")
    assert np.floor(record.points_yx).tolist() == [[21, 32]]
    assert source.repairs == {images.TURNED: 1}


@pytest.mark.parametrize("name", LAYOUTS)
@pytest.mark.parametrize("size_hw", [(80, 120), (41, 60)])
def test_other_sizes_are_refused(
    name: str, size_hw: tuple[int, int], tmp_path: Path
) -> None:
    LAYOUTS[name](tmp_path, size_hw, SPOT_YX)
    source = open_source(tmp_path)
    with pytest.raises(DataError) as error:
        source.load("a")
    for part in ("60 x 40", f"{size_hw[0]} x {size_hw[1]}", str(tmp_path)):
        assert part in str(error.value)


def test_regions_are_turned(tmp_path: Path) -> None:
    _picture(tmp_path / "images/a.png")
    (tmp_path / "labels").mkdir()
    (tmp_path / "labels/a.csv").write_text("3,5\n")
    _plane("ignore")(tmp_path, STORED_HW, SPOT_YX)
    source = open_source(tmp_path)
    record = source.load("a")
    assert record.ignore is not None
    assert np.argwhere(record.ignore).tolist() == [[21, 32]]
    assert source.repairs == {frames.TURNED: 1, images.TURNED: 1}


@pytest.mark.parametrize("turn", range(1, 9))
def test_all_parts_of_a_record_turn_as_pixels_do(turn: int) -> None:
    rng = np.random.default_rng(0)
    masks = np.zeros((4, 7), np.int32)
    masks[1, 5] = 1
    flags = rng.random((4, 7)) < 0.5
    pixels = np.zeros((4, 7, 3), np.uint8)
    pixels[1, 5] = 9
    image = orientation.turn(pixels, turn)
    record = Record(
        "a",
        pixels,
        np.array([[1.5, 5.5], [0.0, 0.0]], np.float32),
        np.zeros(2, np.int32),
        np.array([[1, 5, 2, 6], [0, 0, 2, 1]], np.float32),
        masks,
        flags,
        ~flags,
        repaired={"dropped": np.array([[1.5, 5.5, 1.5, 5.5]], np.float32)},
    )
    turned = frames.turned_record(record, turn, image)
    (pixel,) = np.argwhere(image[..., 0])
    np.testing.assert_array_equal(turned.points_yx[0], pixel + 0.5)
    np.testing.assert_array_equal(turned.boxes_yxyx[0], [*pixel, *(pixel + 1)])
    assert turned.masks[tuple(pixel)] == 1
    np.testing.assert_array_equal(turned.repaired["dropped"][0, :2], pixel + 0.5)
    np.testing.assert_array_equal(turned.annotated, orientation.turn(flags, turn))
    np.testing.assert_array_equal(turned.ignore, ~turned.annotated)
    # The corner stays inside the picture.
    assert (turned.points_yx < image.shape[:2]).all()
    assert (turned.points_yx >= 0).all()


def test_sizes_that_agree_or_are_not_said() -> None:
    sizes = images.Sizes((4, 3), (3, 4), 6)
    found: Counter[str] = Counter()
    assert frames.turn_of(sizes, frames.Stated("a.png", (3, 4)), found) == 1
    assert frames.turn_of(sizes, None, found) == 1
    assert not found
    assert frames.turn_of(sizes, frames.Stated("a.png", (4, 3)), found) == 6
    assert found == {frames.TURNED: 1}
