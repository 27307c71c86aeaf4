"""Facts and small annotated folders for tests of the rules."""

from collections.abc import Sequence
import csv
from pathlib import Path

import numpy as np
from PIL import Image
from scipy import ndimage

from cellrec_jax.check.facts import Facts, facts_of, small_of
from cellrec_jax.data.record import Record

H, W = 96, 128


def picture(seed: int, size_hw: tuple[int, int] = (H, W)) -> np.ndarray:
    """Smooth noise of one mean colour, uint8 [H, W, 3]."""
    noise = np.random.default_rng(seed).normal(size=(*size_hw, 3))
    smooth = ndimage.gaussian_filter(noise, (3, 3, 0))
    smooth = smooth / smooth.std((0, 1)) * 20
    return np.clip(smooth - smooth.mean((0, 1)) + 130, 0, 255).astype(np.uint8)


def record(
    points_yx: Sequence[Sequence[float]] = (),
    labels: Sequence[int] | None = None,
    image_id: str = "a",
    **more: object,
) -> Record:
    """A record of a picture."""
    points = np.array(points_yx, np.float32).reshape(-1, 2)
    ids = np.zeros(len(points)) if labels is None else labels
    image = more.pop("image", picture(0))
    return Record(image_id, image, points, np.array(ids, np.int32), **more)


def of_boxes(
    boxes_yxyx: Sequence[Sequence[float]],
    labels: Sequence[int] | None = None,
    image_id: str = "a",
) -> Record:
    """A record of boxes."""
    boxes = np.array(boxes_yxyx, np.float32).reshape(-1, 4)
    centers = (boxes[:, :2] + boxes[:, 2:]) / 2
    return record(centers, labels, image_id, boxes_yxyx=boxes)


def facts(one: Record, **more: object) -> Facts:
    """Facts of a record, some of them others."""
    return facts_of(one, small_of(one.image)[0])._replace(**more)


def counted(*numbers: int, area_px: int = H * W) -> list[Facts]:
    """Images of so many cells of class 0, a few far from each other."""
    return [
        facts(record(), image_id=str(i), counted_px=area_px)._replace(
            points_yx=np.zeros((number, 2), np.float32),
            labels=np.zeros(number, np.int32),
        )
        for i, number in enumerate(numbers)
    ]


def grid_xy(number: int) -> list[tuple[int, int]]:
    """Places (x, y) of clicks, 16 px apart."""
    places = [(x, y) for y in range(8, H, 16) for x in range(8, W, 16)]
    return places[:number]


def write_image(root: Path, image_id: str, image: np.ndarray) -> Path:
    path = root / "images" / f"{image_id}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).save(path)
    return path


def write_table(root: Path, image_id: str, rows: Sequence[Sequence[object]]) -> Path:
    """A table x,y,class."""
    path = root / "labels" / f"{image_id}.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([("x", "y", "class"), *rows])
    return path


def write_set(root: Path, names: Sequence[str] = tuple("0123456789")) -> None:
    """A set without a fault: pictures with 24 cells of two classes each."""
    for seed, name in enumerate(names):
        write_image(root, name, picture(seed))
        kinds = ("tumour", "stroma")
        rows = [(*xy, kinds[i % 2]) for i, xy in enumerate(grid_xy(24))]
        write_table(root, name, rows)
