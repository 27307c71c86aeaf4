"""Records and sources are plain and independent of each other."""

import dataclasses

import numpy as np

from cellrec_jax.data.record import Record, Repairs, Source, blank, changed


def test_repairs_of_an_image_are_known_by_what_they_are():
    repairs = Repairs({"whole": 2})
    repairs.count("1", {"dropped": 3})
    repairs.count("1", {"dropped": 3, "merged": 1})
    repairs.count("2", {"dropped": 4})
    assert repairs == {"whole": 2, "dropped": 7, "merged": 1}
    assert repairs.by_image["1"] == {"dropped": 3, "merged": 1}


def test_a_change_holds_with_and_without_pixels():
    def read(image: np.ndarray) -> Record:
        return Record("a", image, np.ones((1, 2)), np.zeros(1, np.int32))

    pixels = np.full((2, 3, 3), 9, np.uint8)
    source = Source("any", ("cell",), ("a",), lambda _: read(pixels))

    def change(record: Record) -> Record:
        return dataclasses.replace(record, points_yx=2 * record.points_yx)

    assert changed(source, change).annotations is None
    source = dataclasses.replace(source, annotations=lambda _: read(blank((2, 3))))
    other = changed(source, change, class_names=("new",))
    assert other.class_names == ("new",)
    for record, top in ((other.load("a"), 9), (other.annotations("a"), 0)):
        assert record.points_yx.tolist() == [[2, 2]]
        assert record.image.shape == (2, 3, 3)
        assert record.image.max() == top
