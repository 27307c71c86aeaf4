from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
import pytest

from cellrec_jax.data.pixels.files import list_images, natural_key
from cellrec_jax.errors import DataError


def test_list_images_sorts_naturally_and_skips_others(tmp_path: Path) -> None:
    for name in ("10.png", "2.PNG", "1.tif", ".hidden.png", "notes.txt"):
        (tmp_path / name).touch()
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "3.jpg").touch()
    names = [path.name for path in list_images(tmp_path)]
    assert names == ["1.tif", "2.PNG", "10.png"]
    names = [path.name for path in list_images(tmp_path, recursive=True)]
    assert names == ["1.tif", "2.PNG", "10.png", "3.jpg"]


def test_links_to_folders_are_followed_but_not_in_circles(tmp_path: Path) -> None:
    store, images = tmp_path / "store", tmp_path / "set" / "images"
    for folder in (store / "deep", images):
        folder.mkdir(parents=True)
        (folder / "a.png").touch()
    (images / "train").symlink_to(store)
    (store / "deep" / "back").symlink_to(images)  # and so on, for ever
    (images / "itself").symlink_to(images)
    (images / "nowhere").symlink_to(tmp_path / "nothing")
    (images / "b.png").symlink_to(store / "deep" / "a.png")
    found = [path.relative_to(images) for path in list_images(images, recursive=True)]
    assert [path.as_posix() for path in found] == ["a.png", "b.png", "train/deep/a.png"]


def test_list_images_of_a_missing_folder(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no folder .*nothing"):
        list_images(tmp_path / "nothing")


@given(st.lists(st.text(), unique=True))
def test_natural_key_orders_any_text(texts: list[str]) -> None:
    assert len({natural_key(text) for text in texts}) == len(texts)
    assert sorted(texts, key=natural_key) == sorted(set(texts), key=natural_key)


@given(st.lists(st.integers(0, 10**6), unique=True))
def test_natural_key_orders_numbers_in_text(numbers: list[int]) -> None:
    names = sorted((f"tile_{number}.png" for number in numbers), key=natural_key)
    assert names == [f"tile_{number}.png" for number in sorted(numbers)]
