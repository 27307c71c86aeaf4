from pathlib import Path

import numpy as np
from PIL import Image
import pytest
import tifffile

from cellrec_jax.data import arrays, example
from cellrec_jax.data.readers import label_images
from cellrec_jax.errors import DataError

_IDS = np.array(
    [
        [0, 7, 7, 0, 0, 0],
        [0, 7, 7, 0, 0, 7],
        [3, 0, 0, 0, 0, 0],
        [3, 0, 0, 0, 0, 0],
    ]
)


def _write(root: Path, ids: np.ndarray, ending: str = "tif") -> Path:
    """One image of the size of `ids`, and its label image."""
    for folder in ("images", "labels"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    size = (ids.shape[1], ids.shape[0])
    Image.new("RGB", size, "red").save(root / "images" / "1.png")
    file = root / "labels" / f"1.{ending}"
    if ending == "tif":
        tifffile.imwrite(file, ids)
    else:
        Image.fromarray(ids).save(file)
    return file


@pytest.mark.parametrize(
    ("dtype", "ending"),
    [
        (np.uint8, "png"),
        (np.uint16, "png"),
        (np.uint8, "tif"),
        (np.uint16, "tif"),
        (np.int32, "tif"),
        (np.uint32, "tif"),
    ],
)
def test_point_in_the_largest_part(dtype: type, ending: str, tmp_path: Path) -> None:
    ids = _IDS.astype(dtype)
    ids[ids == 7] = np.iinfo(dtype).max
    _write(tmp_path, ids, ending)
    assert label_images.matches(tmp_path)
    source = label_images.open_source(tmp_path)
    assert source.image_ids == ("1",)
    assert source.class_names == ("cell",)
    record = source.load("1")
    np.testing.assert_allclose(record.points_yx, [[3, 0.5], [1, 2]])
    assert record.masks is not None
    assert record.masks.dtype == np.int32
    np.testing.assert_array_equal(record.masks, np.searchsorted([0, 3, 7], _IDS))
    assert source.repairs == {label_images.SEVERAL_PARTS: 1}


def test_a_second_folder_is_told(tmp_path: Path) -> None:
    file = _write(tmp_path, _IDS.astype(np.uint8), "png")
    (tmp_path / "masks").mkdir()
    Image.fromarray((_IDS > 0).astype(np.uint8)).save(tmp_path / "masks/1.png")
    Image.fromarray((_IDS > 0).astype(np.uint8)).save(tmp_path / "masks/other.png")
    source = label_images.open_source(tmp_path)
    assert len(source.load("1").labels) == 2
    assert source.repairs[label_images.OTHERS] == 1
    file.unlink()
    (tmp_path / "masks/other.png").unlink()
    assert not label_images.open_source(tmp_path).repairs


def test_palette_indices_are_the_ids(tmp_path: Path) -> None:
    file = _write(tmp_path, _IDS.astype(np.uint8), "png")
    image = Image.fromarray(_IDS.astype(np.uint8))
    image.putpalette([0, 0, 0] * 256)
    image.save(file)
    record = label_images.open_source(tmp_path).load("1")
    np.testing.assert_allclose(record.points_yx, [[3, 0.5], [1, 2]])


def test_usiigaci_folders(tmp_path: Path) -> None:
    for name in ("set10", "set2"):
        folder = tmp_path / "train" / name
        folder.mkdir(parents=True)
        tifffile.imwrite(folder / "raw.tif", np.full((4, 6), 999, np.uint16))
        ids = Image.fromarray(_IDS.astype(np.uint8))
        ids.save(folder / "instances_ids.png")
    source = label_images.open_source(tmp_path)
    assert source.image_ids == ("train/set2", "train/set10")
    record = source.load("train/set10")
    assert record.image.dtype == np.uint16
    np.testing.assert_allclose(record.points_yx, [[3, 0.5], [1, 2]])


def test_usiigaci_frames_of_mixed_size_and_depth_and_without_contrast(
    tmp_path: Path,
) -> None:
    """They become one batch of finite floats; a flat 16-bit frame becomes black."""
    ramp = np.linspace(1000, 5000, 24).reshape(4, 6)
    frames = {
        "set1": ramp.astype(np.uint16),
        "set2": (ramp / 20).astype(np.uint8),
        "set3": np.full((8, 6), 999, np.uint16),
        "set4": np.full((4, 12), 51, np.uint8),
    }
    for name, frame in frames.items():
        (tmp_path / name).mkdir()
        tifffile.imwrite(tmp_path / name / "raw.tif", frame)
        ids = np.zeros(frame.shape, np.uint8)
        ids[:4, :6] = _IDS
        Image.fromarray(ids).save(tmp_path / name / "instances_ids.png")
    source = label_images.open_source(tmp_path)
    assert source.image_ids == tuple(frames)
    spec = example.ExampleSpec(size_hw=(8, 12), max_cells=4)
    batch = arrays.stack(
        [example.prepare(source.load(image_id), spec) for image_id in frames]
    )
    assert batch.image.dtype == np.float32
    assert np.isfinite(batch.image).all()
    assert batch.image[0].min() == 0.0
    assert batch.image[0].max() == 1.0
    assert not batch.image[2].any()
    np.testing.assert_allclose(batch.image[3], 0.2)
    # The cell at (3, 0.5) of each frame, in px of the frame's own squeezed image.
    np.testing.assert_allclose(
        batch.points_yx[:, 0], [[6, 1], [6, 1], [3, 1], [6, 0.5]], rtol=1e-6
    )


def test_no_cells(tmp_path: Path) -> None:
    _write(tmp_path, np.zeros((4, 6), np.uint8))
    record = label_images.open_source(tmp_path).load("1")
    assert record.points_yx.shape == (0, 2)


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        (np.zeros((4, 6, 3), np.uint8), "no label image"),
        (np.zeros((4, 6), np.float32), "no label image"),
        (-_IDS.astype(np.int32), "negative ids"),
        (np.stack([_IDS] * 5).astype(np.uint16), "is a stack of 5 planes"),
        (np.tile([[0, 255], [0, 0]], (2, 5)).astype(np.uint8), "single id in 10 parts"),
    ],
)
def test_unusable_label_images(ids: np.ndarray, message: str, tmp_path: Path) -> None:
    _write(tmp_path, ids)
    with pytest.raises(DataError, match=rf"1\.tif.*{message}"):
        label_images.open_source(tmp_path).load("1")


@pytest.mark.parametrize("ending", ["png", "tif"])
def test_truncated(ending: str, tmp_path: Path) -> None:
    ids = np.arange(30 * 40, dtype=np.uint16).reshape(30, 40)
    file = _write(tmp_path, ids, ending)
    file.write_bytes(file.read_bytes()[:-200])
    with pytest.raises(DataError, match=rf"cannot read .*1\.{ending}"):
        label_images.open_source(tmp_path).load("1")


def test_sizes_differ(tmp_path: Path) -> None:
    file = _write(tmp_path, _IDS.astype(np.uint8))
    tifffile.imwrite(file, _IDS.T.astype(np.uint8))
    with pytest.raises(DataError, match=r"1\.tif is 6 x 4 px but its image is 4 x 6"):
        label_images.open_source(tmp_path).load("1")


@pytest.mark.parametrize(
    ("image", "labels"),
    [
        ("images/a.png", "labels/a.npy"),
        ("images/a.png", "masks/a.npy"),
        ("images/a.png", "masks/a_cp_masks.png"),
        ("a.png", "a_cp_masks.png"),
        ("a.png", "a_cp_masks.tif"),
        ("a.png", "a_cp_masks.npy"),
        ("images/a_img.png", "images/a_masks.png"),
        ("a_img.png", "a_masks.tif"),
    ],
)
def test_arrays_and_what_cellpose_writes(
    image: str, labels: str, tmp_path: Path
) -> None:
    for name in (image, labels):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (6, 4)).save(tmp_path / image)
    file, ids = tmp_path / labels, _IDS.astype(np.uint16)
    if file.suffix == ".npy":
        np.save(file, ids)
    elif file.suffix == ".tif":
        tifffile.imwrite(file, ids)
    else:
        Image.fromarray(ids).save(file)
    if file.parent == (tmp_path / image).parent:
        Image.new("RGB", (6, 4)).save(file.with_name("a_cp_flows.png"))
    assert label_images.matches(tmp_path)
    source = label_images.open_source(tmp_path)
    assert source.image_ids == ("a",)
    np.testing.assert_allclose(source.load("a").points_yx, [[3, 0.5], [1, 2]])
    assert source.files("a") == (tmp_path / image, file)


def test_masks_of_one_bit_are_refused(tmp_path: Path) -> None:
    _write(tmp_path, (_IDS > 0), "png")
    with pytest.raises(DataError, match="a mask of 0 and 1"):
        label_images.open_source(tmp_path).load("1")


@pytest.mark.parametrize("ending", ["tif", "npy"])
def test_minus_one_is_ignored(ending: str, tmp_path: Path) -> None:
    ids = _IDS.astype(np.int32)
    ids[0, 4:] = -1
    file = _write(tmp_path, ids)
    if ending == "npy":
        np.save(file.with_suffix(".npy"), ids)
        file.unlink()
    record = label_images.open_source(tmp_path).load("1")
    np.testing.assert_allclose(record.points_yx, [[3, 0.5], [1, 2]])
    assert np.argwhere(record.ignore).tolist() == [[0, 4], [0, 5]]


def test_pickles_are_never_opened(tmp_path: Path) -> None:
    file = _write(tmp_path, _IDS.astype(np.uint8))
    file.unlink()
    np.save(file.with_suffix(".npy"), np.array([{"masks": _IDS}], dtype=object))
    with pytest.raises(DataError, match="allow_pickle=False"):
        label_images.open_source(tmp_path).load("1")
