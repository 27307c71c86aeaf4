"""Sets as every format and back: the same cells to 0.01 px; what is lost is told."""

from collections import Counter
from collections.abc import Sequence
import dataclasses
import json
from pathlib import Path

from etils import epath
import numpy as np
from PIL import Image
import pytest

from cellrec_jax import errors
from cellrec_jax.convert import fitting, folder
from cellrec_jax.convert.formats import FORMATS
from cellrec_jax.data.readers import FORMATS as READ
from cellrec_jax.data.readers import find_format, open_source
from cellrec_jax.data.record import Record, Source, blank

H, W = 60, 90
IDS = ("train/2", "train/10", "val/3")
NAMES = ("Tumor: Positive", "CD 8", "=other")
READ_AS = {"csv": "csv_points"}


def _points(seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    rows, columns = np.meshgrid(np.arange(6, H, 12), np.arange(6, W, 12), indexing="ij")
    points = np.stack([rows.ravel(), columns.ravel()], 1) + rng.uniform(-2, 2, (35, 2))
    return points[rng.permutation(35)[: 6 + seed]].astype(np.float32)


def _record(image_id: str, kind: str) -> Record:
    seed = IDS.index(image_id)
    points = _points(seed)
    labels = (np.arange(len(points)) % len(NAMES)).astype(np.int32)
    record = Record(image_id, blank((H, W)), points, labels)
    if kind == "scores":
        scores = np.linspace(0.1, 0.9, len(points)).astype(np.float32)
        return dataclasses.replace(record, scores=scores)
    if kind == "boxes":
        half = (
            np.random.default_rng(seed).uniform(1, 3, points.shape).astype(np.float32)
        )
        boxes = np.concatenate([points - half, points + half], axis=1)
        return dataclasses.replace(record, boxes_yxyx=boxes)
    if kind == "whole":
        return dataclasses.replace(record, points_yx=points.round())
    if kind == "border":
        points[:3] = (0.2, 70.5), (H - 0.1, 30.25), (30.5, W - 0.3)
        return dataclasses.replace(record, points_yx=points)
    if kind == "masks":
        masks = np.zeros((H, W), np.int32)
        centers = []
        for number, (y, x) in enumerate(points.round().astype(int), 1):
            masks[y - 2 : y + 3, x - 1 : x + 3] = number
            masks[y + 2, x + 2] = 0
            centers.append(np.argwhere(masks == number).mean(0) + 0.5)
        found = np.array(centers, np.float32)
        return dataclasses.replace(record, points_yx=found, masks=masks)
    if kind == "regions" and seed < 2:
        ignore, annotated = np.zeros((2, H, W), bool)
        ignore[3:9, 5:11] = ignore[20:30, 40:50] = True
        ignore[24:26, 43:45] = False  # a hole
        annotated[: 50 - seed, 4:] = True
        return dataclasses.replace(
            record, ignore=ignore, annotated=annotated if seed else None
        )
    return record


def _source(root: Path, kind: str) -> Source:
    """Three images in two splits, and their cells of a kind."""
    files = {}
    for image_id in IDS:
        files[image_id] = root / "set" / f"{image_id}.png"
        files[image_id].parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (W, H), (len(image_id), 9, 9)).save(files[image_id])

    def read(image_id: str) -> Record:
        return _record(image_id, kind)

    return Source(
        "any",
        NAMES,
        IDS,
        read,
        annotations=read,
        files=lambda image_id: (epath.Path(files[image_id]),),
    )


def _sorted(record: Record, names: Sequence[str], *, classes: bool) -> list:
    kinds = [names[label] if classes else "" for label in record.labels]
    rows = zip(kinds, record.points_yx.tolist(), range(len(kinds)), strict=True)
    return sorted((kind, round(y), round(x), i) for kind, (y, x), i in rows)


def _check(
    output: Path, kind: str, *, classes: bool = True, atol: float = 0.01
) -> None:
    """Reads a folder back and compares all cells, in whatever order."""
    source = open_source(output)
    assert set(source.image_ids) == set(IDS)
    for image_id in IDS:
        before, after = _record(image_id, kind), source.load(image_id)
        assert len(before.labels) == len(after.labels)
        old = [row[-1] for row in _sorted(before, NAMES, classes=classes)]
        distances = np.abs(before.points_yx[old][:, None] - after.points_yx[None]).max(
            -1
        )
        new = distances.argmin(1)
        assert len(set(new.tolist())) == len(old)
        assert distances.min(1).max() <= atol
        if classes:
            found = [source.class_names[label] for label in after.labels[new]]
            assert found == [NAMES[label] for label in before.labels[old]]
        if before.boxes_yxyx is not None and after.boxes_yxyx is not None:
            np.testing.assert_allclose(
                after.boxes_yxyx[new], before.boxes_yxyx[old], atol=0.01
            )
        for name in ("ignore", "annotated"):
            region, found_region = getattr(before, name), getattr(after, name)
            assert (region is None) == (found_region is None)
            if region is not None:
                np.testing.assert_array_equal(region, found_region)


def _write(tmp_path: Path, kind: str, to: str, **options) -> folder.Outcome:
    output = epath.Path(tmp_path / "out")
    return folder.write(_source(tmp_path, kind), to, output, images="copy", **options)


POINTS = [name for name, one in FORMATS.items() if "points" in one.holds]
EXACT = [name for name in POINTS if name != "ocelot"]


@pytest.mark.parametrize("kind", ["points", "whole", "regions", "boxes"])
@pytest.mark.parametrize("to", EXACT)
def test_the_same_cells_come_back(to: str, kind: str, tmp_path: Path) -> None:
    outcome = _write(tmp_path, kind, to)
    assert outcome.num_images == 3
    assert find_format(tmp_path / "out") == READ_AS.get(to, to)
    _check(tmp_path / "out", kind)
    regions = 2 if kind == "regions" and to != "qupath" else 0
    lost = {fitting.REGIONS: regions} if regions else {}
    assert outcome.lost == lost
    assert not outcome.failed


@pytest.mark.parametrize("to", ["voc", "yolo", "coco"])
def test_boxes_that_are_drawn(to: str, tmp_path: Path) -> None:
    outcome = _write(tmp_path, "points", to, box_px=9)
    _check(tmp_path / "out", "points")
    assert outcome.lost == {fitting.DRAWN: outcome.num_cells.total()}


@pytest.mark.parametrize(("to", "atol"), [("voc", 0.5), ("yolo", 0.01)])
def test_boxes_drawn_at_the_border(to: str, atol: float, tmp_path: Path) -> None:
    outcome = _write(tmp_path, "border", to, box_px=9)
    _check(tmp_path / "out", "border", atol=atol)
    lost = {fitting.DRAWN: outcome.num_cells.total()}
    assert outcome.lost == lost | ({fitting.WIDENED: 9} if to == "voc" else {})


@pytest.mark.parametrize("to", ["voc", "yolo"])
def test_boxes_alone(to: str, tmp_path: Path) -> None:
    assert _write(tmp_path, "boxes", to).lost == {}
    _check(tmp_path / "out", "boxes")
    with pytest.raises(errors.ConfigError, match="give --box PX"):
        folder.write(_source(tmp_path, "points"), to, epath.Path(tmp_path / "two"))
    assert not (tmp_path / "two").exists()


def test_whole_pixels_and_numbers_of_ocelot(tmp_path: Path) -> None:
    outcome = _write(tmp_path, "scores", "ocelot")
    _check(tmp_path / "out", "scores", classes=False, atol=0.5)
    source = open_source(tmp_path / "out")
    assert source.class_names == ("1", "2", "3")
    assert outcome.lost == {fitting.NUMBERS: outcome.num_cells.total()}
    found = source.load("train/10")
    expected = _record("train/10", "scores").scores
    np.testing.assert_allclose(found.scores, expected, atol=1e-6)


@pytest.mark.parametrize("to", POINTS)
def test_scores_are_kept_or_told(to: str, tmp_path: Path) -> None:
    outcome = _write(tmp_path, "scores", to)
    total = outcome.num_cells.total()
    found = open_source(tmp_path / "out").load("val/3")
    if "scores" not in FORMATS[to].holds:
        assert outcome.lost == {fitting.SCORES: total}
        assert found.scores is None
        return
    expected = _record("val/3", "scores").scores
    np.testing.assert_allclose(sorted(found.scores), sorted(expected), atol=1e-6)


def test_masks_as_outlines_and_as_masks(tmp_path: Path) -> None:
    assert _write(tmp_path, "masks", "qupath").lost == {}
    _check(tmp_path / "out", "masks")
    labels = epath.Path(tmp_path / "labels")
    outcome = folder.write(
        _source(tmp_path, "masks"), "label_images", labels, images="link"
    )
    assert outcome.lost == {fitting.CLASSES: outcome.num_cells.total()}
    _check(tmp_path / "labels", "masks", classes=False)
    before = _record("val/3", "masks").masks
    np.testing.assert_array_equal(open_source(labels).load("val/3").masks, before)
    with pytest.raises(errors.ConfigError, match="masks alone"):
        folder.write(_source(tmp_path, "boxes"), "label_images", labels / "more")


@pytest.mark.parametrize(("to", "what"), [("csv", "MASKS"), ("voc", "AROUND")])
def test_what_becomes_of_masks(to: str, what: str, tmp_path: Path) -> None:
    outcome = _write(tmp_path, "masks", to)
    total = outcome.num_cells.total()
    expected = {fitting.MASKS: total, getattr(fitting, what): total}
    assert outcome.lost == expected
    found = open_source(tmp_path / "out").load("val/3")
    if to == "csv":
        _check(tmp_path / "out", "masks")
    else:
        sides = found.boxes_yxyx[:, 2:] - found.boxes_yxyx[:, :2]
        assert Counter(map(tuple, sides.tolist())) == {(5.0, 4.0): len(sides)}


@pytest.mark.parametrize("images", folder.IMAGES)
def test_images_are_put_where_they_are_read(images: str, tmp_path: Path) -> None:
    output = epath.Path(tmp_path / "out")
    folder.write(_source(tmp_path, "points"), "qupath", output, images=images)
    target = tmp_path / "out/images/train/2.png"
    assert target.is_file() == (images != "none")
    assert target.is_symlink() == (images == "link")
    if images == "copy":
        assert target.read_bytes() == (tmp_path / "set/train/2.png").read_bytes()


def test_nothing_is_written_over_or_left_behind(tmp_path: Path) -> None:
    source, output = _source(tmp_path, "points"), epath.Path(tmp_path / "out")
    output.mkdir()
    folder.write(source, "csv", output)  # an empty one
    with pytest.raises(errors.ConfigError, match="there is something"):
        folder.write(source, "csv", output)
    with pytest.raises(errors.ConfigError, match="--to parquet: choose one of qupath"):
        folder.write(source, "parquet", epath.Path(tmp_path / "other"))
    bad = dataclasses.replace(source, class_names=("a\nb", *NAMES[1:]))
    with pytest.raises(errors.DataError, match="for QuPath"):
        folder.write(bad, "qupath", epath.Path(tmp_path / "other"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "set"]


def test_images_that_cannot_be_read_cost_themselves(tmp_path: Path) -> None:
    source = _source(tmp_path, "points")

    def read(image_id: str) -> Record:
        if image_id != "train/2":
            raise errors.DataError(f"{image_id}: is broken")
        return _record(image_id, "points")

    output = epath.Path(tmp_path / "out")
    outcome = folder.write(
        dataclasses.replace(source, annotations=read), "csv", output, images="copy"
    )
    assert outcome.failed == ("train/10: is broken", "val/3: is broken")
    about = json.loads((tmp_path / "out" / folder.FILE).read_text())
    assert about["failed"] == list(outcome.failed)
    assert open_source(output).image_ids == ("train/2",)
    none = dataclasses.replace(source, annotations=read, image_ids=("val/3",))
    with pytest.raises(errors.DataError, match="val/3: is broken"):
        folder.write(none, "csv", epath.Path(tmp_path / "none"))


def test_every_format_is_read() -> None:
    assert {READ_AS.get(name, name) for name in FORMATS} <= set(READ)
