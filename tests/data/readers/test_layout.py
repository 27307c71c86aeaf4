from pathlib import Path

import pytest

from cellrec_jax.data.readers.layout import (
    UnpairedError,
    check_pairs,
    find_images,
    find_pairs,
    has_images,
    has_pair,
    holds,
    holds_beside,
    index_files,
)
from cellrec_jax.errors import DataError


def _touch(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


def test_ids_keep_the_split_wherever_it_lies(tmp_path: Path) -> None:
    _touch(tmp_path, "images/10.png", "images/2.png", "images/val/1.png")
    _touch(tmp_path, "train/images/3.tif", "other/7.png", "images/.cache/8.png")
    index = index_files(tmp_path, "images", (".png", ".tif"))
    assert list(index) == ["2", "10", "train/3", "val/1"]
    assert index["train/3"] == tmp_path / "train/images/3.tif"


def test_ids_are_composed_whatever_the_names(tmp_path: Path) -> None:
    _touch(tmp_path, "images/gro\u0308\u00dfe.png", "labels/gr\u00f6\u00dfe.csv")
    pairs = find_pairs(tmp_path, ["images"], ["labels"], (".csv",))
    assert list(pairs.images) == list(pairs.annotations) == ["gr\u00f6\u00dfe"]


def test_root_is_not_searched_below(tmp_path: Path) -> None:
    _touch(tmp_path, "a.b.png", "sub/c.png")
    assert list(index_files(tmp_path, "", (".png",))) == ["a.b"]


@pytest.mark.parametrize(
    "names",
    [("images/1.png", "images/1.tif"), ("images/train/1.png", "train/images/1.png")],
)
def test_two_files_of_one_id(names: tuple[str, str], tmp_path: Path) -> None:
    _touch(tmp_path, *names)
    with pytest.raises(DataError, match="same id: keep one"):
        find_images(tmp_path)


def test_first_folder_with_images_counts(tmp_path: Path) -> None:
    _touch(tmp_path, "1.png", "images/notes.txt")
    assert find_images(tmp_path) == ("", {"1": tmp_path / "1.png"})
    _touch(tmp_path, "images/2.png")
    assert find_images(tmp_path)[0] == "images"
    with pytest.raises(DataError, match=r"no images in .*source"):
        find_images(tmp_path, ["source"])


def test_pairs(tmp_path: Path) -> None:
    _touch(tmp_path, "images/2.png", "images/10.png", "points/10.csv", "points/2.csv")
    pairs = find_pairs(tmp_path, ["images"], ["labels", "points"], (".csv",))
    assert list(pairs.images) == list(pairs.annotations) == ["2", "10"]
    assert pairs.annotations["2"] == tmp_path / "points/2.csv"


def test_pairs_beside(tmp_path: Path) -> None:
    _touch(tmp_path, "images/2.png", "images/2.csv")
    with pytest.raises(DataError, match="1 images but no annotations"):
        find_pairs(tmp_path, ["images"], ["labels"], (".csv",))
    pairs = find_pairs(tmp_path, ["images"], ["labels"], (".csv",), beside=True)
    assert pairs.annotations == {"2": tmp_path / "images/2.csv"}


def test_two_folders_of_annotations(tmp_path: Path) -> None:
    _touch(tmp_path, "images/2.png", "labels/2.csv", "csv/2.csv")
    with pytest.raises(DataError, match=r"labels and .*csv both hold \*\.csv"):
        find_pairs(tmp_path, ["images"], ["labels", "csv"], (".csv",))


def test_counts_and_first_offenders_are_named() -> None:
    images = {str(i): Path(f"{i}.png") for i in range(12)}
    labels = {name: Path(f"{name}.csv") for name in ("0", "x")}
    with pytest.raises(UnpairedError) as error:
        check_pairs(Path("set"), images, labels, "labels/*.csv")
    assert str(error.value) == (
        "set: 12 images but 2 annotation files (labels/*.csv): no annotation for "
        "1, 2, 3 and 8 more; no image for x; add or remove files"
    )
    assert error.value.images == tuple(images[str(i)] for i in range(1, 12))
    assert error.value.annotations == (labels["x"],)
    check_pairs(Path("set"), {"1": images["1"]}, {"1": labels["0"]}, "")


def test_looks_never_raise(tmp_path: Path) -> None:
    _touch(tmp_path, "images/1.png", "images/1.tif", "images/1.csv")
    missing = tmp_path / "missing"
    for root in (tmp_path, missing):
        assert not has_images(root, ["images"])
        assert not holds_beside(root, ["images"], (".csv",))
    assert not holds(missing, ["images"], (".csv",))
    assert holds(tmp_path, ["labels", "images"], (".csv",))


def test_beside_needs_the_same_name(tmp_path: Path) -> None:
    _touch(tmp_path, "1.png", "readme.csv")
    assert not holds_beside(tmp_path, [""], (".csv",))
    _touch(tmp_path, "1.csv")
    assert holds_beside(tmp_path, [""], (".csv",))
    assert not has_pair({}, {"1": tmp_path})
