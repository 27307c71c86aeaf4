import pytest

from cellrec_jax.check import copies
from tests.check import fakes


def _images(**pictures):
    return [
        fakes.facts(fakes.record(image_id=name, image=image))
        for name, image in pictures.items()
    ]


ONE, OTHER = fakes.picture(1), fakes.picture(2)
SPLITS = {"train": ("a", "b"), "val": (), "test": ("c", "d")}


@pytest.mark.parametrize(
    ("pictures", "rule", "image"),
    [
        ({"a": ONE, "b": ONE, "c": OTHER}, "same-image", "b"),
        ({"a": ONE, "b": OTHER, "c": ONE}, "leak", "c"),
        ({"a": ONE, "b": OTHER, "x": ONE}, "same-image", "x"),  # in no split
        ({"a": ONE, "b": ONE[::-1], "c": OTHER}, "alike", "b"),
        ({"a": ONE, "b": OTHER, "c": ONE[:, ::-1]}, "leak-alike", "c"),
    ],
)
def test_twins(pictures, rule, image):
    (one,) = copies.twins(_images(**pictures), SPLITS)
    assert (one.rule, one.image) == (rule, image)
    assert "of a" in one.text
    assert ("which is in train" in one.text) == rule.startswith("leak")


def test_different_images_are_no_twins():
    assert not list(copies.twins(_images(a=ONE, b=OTHER, c=fakes.picture(3)), SPLITS))
    assert not list(copies.twins(_images(a=ONE), SPLITS))


def test_blank_images_are_alike_in_no_way_that_counts():
    blank = ONE * 0
    assert not list(copies.twins(_images(a=blank, b=blank + 7, c=ONE), {}))


def test_of_many_alike_each_is_told_once():
    images = _images(**{str(i): (ONE // 3 + 50 + i) for i in range(6)})
    found = list(copies.twins(images, {}))
    assert [one.image for one in found] == ["1", "2", "3", "4", "5"]


def test_groups_in_two_splits():
    images = [
        fakes.facts(fakes.record(image_id=name), group=group)
        for name, group in zip("abcd", ("s1", "s2", "s2", "s3"), strict=True)
    ]
    (one,) = copies.groups(images, SPLITS)
    assert (one.rule, one.image) == ("leak-group", "c")
    assert "s2: images 1 in train, 1 in test" in one.text
    assert not list(copies.groups(images, {"train": ("a", "b", "c"), "test": ("d",)}))
    assert not list(copies.groups(images, {}))


def test_patients_of_tcga_are_groups():
    names = ("train/TCGA-A1-A0SK-01Z-00-DX1_7", "test/tcga-a1-a0sk-01Z_9", "test/x")
    images = [fakes.facts(fakes.record(image_id=name)) for name in names]
    splits = {"train": names[:1], "test": names[1:]}
    (one,) = copies.groups(images, splits)
    assert one.image == names[1]
    assert one.text.startswith("TCGA-A1-A0SK:")


def test_slides_by_names_of_tiles_are_warnings():
    names = ("train/S1_x0_y0", "val/S1_x512_y0", "train/S2_x0_y0", "val/S3_tile4")
    images = [fakes.facts(fakes.record(image_id=name)) for name in names]
    splits = {"train": names[::2], "val": names[1::2]}
    (one,) = copies.groups(images, splits)
    assert (one.image, one.weight) == (names[1], "warning")
    assert one.text.startswith("S1: images 1 in train, 1 in val")
