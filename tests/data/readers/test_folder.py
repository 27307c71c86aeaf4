"""Annotations are those of the loaded image, and need its header alone."""

from collections import Counter
from pathlib import Path

import numpy as np
from PIL import Image
import pytest
import tifffile

from cellrec_jax.data.pixels import orientation
from cellrec_jax.data.pixels.colors import ALPHA_UNUSED
from cellrec_jax.data.pixels.images import TURNED
from cellrec_jax.data.readers.folder import folder_source
from cellrec_jax.data.record import Record, Source
from cellrec_jax.errors import DataError


@pytest.fixture
def source(tmp_path: Path) -> Source:
    """Images a2 and a10 of 6 x 9 px, with a point inside and one outside."""
    files = {name: tmp_path / f"{name}.png" for name in ("a10", "a2")}
    for file in files.values():
        Image.fromarray(np.full((6, 9, 3), 7, np.uint8)).save(file)
    (tmp_path / "ignore").mkdir()
    Image.fromarray(np.eye(6, 9, dtype=np.uint8)).save(tmp_path / "ignore" / "a2.png")

    def read(image_id: str, image: np.ndarray, repairs: Counter[str]) -> Record:
        repairs["things"] += 1
        points_yx = np.array([[5.5, 8.5], [8.5, 5.5]])
        return Record(image_id, image, points_yx, np.array([0, 1]))

    def annotations(image_id: str) -> list[Path]:
        return [tmp_path / f"{image_id}.txt"]

    return folder_source(
        "any", ("a", "b"), files, annotations, read, tmp_path, repairs={"whole": 1}
    )


def test_annotations_are_those_of_the_image(source: Source, tmp_path: Path) -> None:
    assert source.image_ids == ("a2", "a10")
    loaded, seen = source.load("a2"), source.annotations("a2")
    assert loaded.image.min() == 7
    assert seen.image.shape == loaded.image.shape
    for name in ("points_yx", "labels", "ignore"):
        np.testing.assert_array_equal(getattr(seen, name), getattr(loaded, name))
    assert seen.points_yx.tolist() == [[5.5, 8.5]]
    names = ["a2.png", "a2.txt", "ignore/a2.png"]
    assert [
        file.relative_to(tmp_path).as_posix() for file in source.files("a2")
    ] == names


def test_repairs_count_an_image_once(source: Source) -> None:
    outside = "points outside the image dropped"
    for read in (source.annotations, source.load, source.load):
        read("a2")
        assert source.repairs == {"whole": 1, "things": 1, outside: 1}
    source.load("a10")
    assert source.repairs == {"whole": 1, "things": 2, outside: 2}


def test_a_damaged_image_has_annotations_but_no_pixels(
    source: Source, tmp_path: Path
) -> None:
    file = tmp_path / "a2.png"
    file.write_bytes(file.read_bytes()[:50])
    assert source.annotations("a2").image.shape == (6, 9, 3)
    with pytest.raises(DataError, match=r"a2\.png"):
        source.load("a2")


@pytest.mark.parametrize(("given", "expected"), [(None, 0.25), (0.5, 0.5)])
def test_what_the_image_file_says_is_used_or_told(
    given: float | None, expected: float, tmp_path: Path
) -> None:
    file = tmp_path / "a.tif"
    pixels = np.full((6, 9, 4), [7, 8, 9, 0], np.uint8)
    tifffile.imwrite(
        file,
        pixels,
        photometric="rgb",
        extrasamples=["unassalpha"],
        resolution=(40000, 40000),
        resolutionunit="CENTIMETER",
        extratags=[(orientation.TAG, "H", 1, 6, True)],
    )

    def read(image_id: str, image: np.ndarray, _: Counter[str]) -> Record:
        points_yx = np.array([[8.5, 5.5]])  # inside as shown, outside as stored
        return Record(image_id, image, points_yx, np.array([0]), mpp=given)

    source = folder_source("any", ("a",), {"a": file}, lambda _: [], read, tmp_path)
    for found in (source.annotations("a"), source.load("a")):
        assert found.mpp == expected
        assert found.image.shape == (9, 6, 3)
        assert len(found.points_yx) == 1
    assert found.image[0, 0].tolist() == [7, 8, 9]
    assert source.repairs == {TURNED: 1, ALPHA_UNUSED: 1}
