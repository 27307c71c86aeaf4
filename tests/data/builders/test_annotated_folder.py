from pathlib import Path

import numpy as np
from PIL import Image
import pytest

from cellrec_jax import errors
from cellrec_jax.data import readers

pytest.importorskip("tensorflow_datasets")


def write_folder(root: Path, splits: tuple[str, ...]) -> Path:
    """Images 2 and 10 of 12 x 20 px in each split, with 0 and 8 cells in CSV."""
    for number, split in enumerate(splits):
        for i in (2, 10):
            image, table = root / "images" / split, root / "labels" / split
            image.mkdir(parents=True, exist_ok=True)
            table.mkdir(parents=True, exist_ok=True)
            pixels = np.full((12, 20, 3), 10 * number + i, np.uint8)
            Image.fromarray(pixels).save(image / f"{i}.png")
            rows = [f"{2 * k},{k},{'blue' if k % 2 else 'red'}" for k in range(i - 2)]
            (table / f"{i}.csv").write_text("\n".join(["x,y,class", *rows]))
    return root


@pytest.mark.slow
def test_builds_what_the_reader_reads(build, tmp_path):
    from cellrec_jax.data.builders.annotated_folder import AnnotatedFolder

    root = write_folder(tmp_path / "in", ("train", "validation", "test"))
    folder = readers.open_source(root)
    source = build(AnnotatedFolder, root)
    assert source.image_ids == folder.image_ids
    assert "validation/10" in source.image_ids
    assert source.class_names == folder.class_names == ("blue", "red")
    for image_id in source.image_ids:
        got, wanted = source.load(image_id), folder.load(image_id)
        np.testing.assert_array_equal(got.image, wanted.image)
        np.testing.assert_array_equal(got.points_yx, wanted.points_yx)
        np.testing.assert_array_equal(got.labels, wanted.labels)
    assert len(source.load("train/10").labels) == 8


def test_a_folder_without_splits_is_all_train_and_keeps_its_ids(build, tmp_path):
    from cellrec_jax.data.builders.annotated_folder import AnnotatedFolder

    root = write_folder(tmp_path / "in", ("",))
    source = build(AnnotatedFolder, root, config="csv_points")
    assert source.image_ids == ("2", "10")


def test_a_forced_format_is_used(build, tmp_path):
    from cellrec_jax.data.builders.annotated_folder import AnnotatedFolder

    root = write_folder(tmp_path / "in", ("",))
    with pytest.raises(errors.DataError):
        build(AnnotatedFolder, root, config="bcdata")
