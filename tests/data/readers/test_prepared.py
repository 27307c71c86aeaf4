import dataclasses
import itertools
from pathlib import Path
import shutil

import jax
import numpy as np
import pytest

from cellrec_jax import errors
from cellrec_jax.data import arrays, example, pipeline, readers
from cellrec_jax.data.readers import prepared
from cellrec_jax.data.record import Record, Source

pytest.importorskip("tensorflow_datasets")

IDS = ("train/2", "train/10", "test/0")


def make_record(image_id: str) -> Record:
    """16-bit images of different sizes; one has all that there can be, one nothing."""
    if image_id == "test/0":
        none = np.zeros((0, 2), np.float32)
        return Record(image_id, np.ones((5, 7, 3), np.uint8), none, np.zeros(0, int))
    height = 9 + int(image_id.removeprefix("train/"))
    rng = np.random.default_rng(height)
    masks = np.zeros((height, 6), np.int32)
    masks[1:4, 2:5], masks[5:8, 3:6] = 1, 2
    return Record(
        image_id=image_id,
        image=rng.integers(0, 65_535, (height, 6, 3), dtype=np.uint16),
        points_yx=np.array([[2.5, 3.5], [6.5, 4.5]], np.float32),
        labels=np.array([1, 0], np.int32),
        boxes_yxyx=np.array([[1, 2, 4, 5], [5, 3, 8, 6]], np.float32),
        masks=masks,
        annotated=masks < 2,
        ignore=masks > 1,
        group="slide 4",
        mpp=0.2455,
    )


@pytest.fixture(scope="module")
def folders(tmp_path_factory) -> dict[str, Path]:
    """One set in both file formats: format -> folder of the version."""
    import tensorflow_datasets as tfds

    from cellrec_jax.data.builders.annotated_folder import AnnotatedFolder

    root = tmp_path_factory.mktemp("prepared")
    (root / "in").mkdir()
    (root / "in" / "file").touch()  # TFDS refuses an empty folder
    groups = dict.fromkeys(IDS[:2], "slide 4")
    source = Source("test", ("a b", "ç"), IDS, make_record, groups)
    found = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(readers, "open_source", lambda *_: source)
        for file_format in ("tfrecord", "array_record"):
            out = root / file_format
            builder = AnnotatedFolder(data_dir=out, file_format=file_format)
            builder.download_and_prepare(
                download_config=tfds.download.DownloadConfig(manual_dir=root / "in")
            )
            found[file_format] = Path(builder.data_dir)
    return found


@pytest.mark.parametrize("file_format", ["tfrecord", "array_record"])
def test_gives_back_the_records(folders, file_format):
    source = prepared.open_prepared(str(folders[file_format]))
    assert source.image_ids == ("test/0", "train/2", "train/10")
    assert source.class_names == ("a b", "ç")
    assert source.groups == {"train/2": "slide 4", "train/10": "slide 4"}
    for image_id in (*IDS, *IDS[::-1]):
        got, wanted = source.load(image_id), make_record(image_id)
        for field in dataclasses.fields(Record):
            a, b = getattr(got, field.name), getattr(wanted, field.name)
            if isinstance(b, np.ndarray):
                assert a.shape == b.shape, field.name
                np.testing.assert_array_equal(a, b, err_msg=field.name)
                seen = getattr(source.annotations(image_id), field.name)
                assert seen.shape == b.shape, field.name
                if field.name != "image":
                    np.testing.assert_array_equal(seen, b, err_msg=field.name)
            else:
                assert a == b, field.name
    assert source.load("train/2").image.dtype == np.uint16
    assert source.load("test/0").image.dtype == np.uint8


@pytest.mark.parametrize("file_format", ["tfrecord", "array_record"])
def test_pipeline_gives_the_batches_of_array_mode(folders, file_format):
    spec = example.ExampleSpec(size_hw=(12, 16), max_cells=2, keep_rate=0.5)
    source = prepared.open_prepared(str(folders[file_format]), "train")
    stacked = arrays.stack([example.prepare(make_record(i), spec) for i in IDS[:2]])
    expected = arrays.train_batches(stacked, arrays.Order(3, 1))
    got = pipeline.train_batches(source, source.image_ids, spec, arrays.Order(3, 1))
    for batch, wanted in itertools.islice(zip(got, expected, strict=True), 4):
        for a, b in zip(jax.tree.leaves(batch), jax.tree.leaves(wanted), strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("file_format", ["tfrecord", "array_record"])
def test_splits(folders, file_format):
    path = str(folders[file_format])
    source = prepared.open_prepared(path, split="test")
    assert source.image_ids == ("test/0",)
    assert source.groups == {}
    assert prepared.open_prepared(path, "train+test").image_ids[0] == "test/0"
    with pytest.raises(errors.DataError, match=r"no split 'val': give all or train\+t"):
        prepared.open_prepared(path, split="val")


def test_finds_versions_and_names(folders, monkeypatch):
    monkeypatch.setenv("TFDS_DATA_DIR", str(folders["tfrecord"]))
    version = folders["array_record"]
    assert prepared.is_prepared(str(version))
    assert prepared.is_prepared(str(version.parent))
    assert not prepared.is_prepared(str(version.parents[1]))
    data_dir = str(version.parents[2])
    assert prepared.is_prepared("annotated_folder/auto", data_dir)
    assert not prepared.is_prepared("annotated_folder/auto")
    monkeypatch.setenv("TFDS_DATA_DIR", data_dir)
    assert prepared.open_prepared("annotated_folder/auto").image_ids[1:] == IDS[:2]


def test_refuses_what_is_no_set_of_ours(tmp_path):
    with pytest.raises(errors.DataError, match="no prepared set in"):
        prepared.open_prepared(str(tmp_path))
    (tmp_path / "dataset_info.json").write_text("not json")
    with pytest.raises(errors.DataError, match="cannot be read as a prepared set"):
        prepared.open_prepared(str(tmp_path))


def test_refuses_a_foreign_set(tmp_path):
    import tensorflow_datasets as tfds

    tfds.dataset_builders.store_as_tfds_dataset(
        name="foreign",
        version="1.0.0",
        data_dir=tmp_path,
        features=tfds.features.FeaturesDict({"image": np.int64}),
        split_datasets={"train": [(0, {"image": 1})]},
    )
    with pytest.raises(errors.DataError, match="not prepared by cellrec-jax"):
        prepared.open_prepared(str(tmp_path / "foreign"))


def test_a_damaged_set_names_the_image(folders, tmp_path):
    copy = shutil.copytree(folders["array_record"], tmp_path / "copy")
    for file in copy.glob("*train*"):
        file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    with pytest.raises(errors.DataError, match=r"train/2.*build it again"):
        prepared.open_prepared(str(copy)).load("train/2")
