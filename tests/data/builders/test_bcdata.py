import h5py
import numpy as np
from PIL import Image
import pytest

pytest.importorskip("tensorflow_datasets")


def test_builds_splits_of_two_classes(build, tmp_path):
    from cellrec_jax.data.builders.bcdata import Bcdata

    root = tmp_path / "BCData"
    for split, points_xy in (("train", [[7, 3]]), ("test", [[1, 2], [15, 9]])):
        (root / "images" / split).mkdir(parents=True)
        pixels = np.full((12, 20, 3), 200, np.uint8)
        Image.fromarray(pixels).save(root / "images" / split / "0.png")
        for name in ("positive", "negative"):
            folder = root / "annotations" / split / name
            folder.mkdir(parents=True)
            with h5py.File(folder / "0.h5", "w") as file:
                held = points_xy if name == "negative" else np.zeros((0, 2), np.int64)
                file["coordinates"] = held
    source = build(Bcdata, root)
    assert source.class_names == ("positive", "negative")
    assert source.image_ids == ("test/0", "train/0")
    record = source.load("test/0")
    np.testing.assert_array_equal(record.points_yx, [[2.5, 1.5], [9.5, 15.5]])
    np.testing.assert_array_equal(record.labels, [1, 1])
