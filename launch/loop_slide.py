"""The slide of `loop.py`, and what a person does with predictions of it."""

import json
from pathlib import Path

import numpy as np
from PIL import Image

from cellrec_jax.data.synthetic import source
from cellrec_jax.metrics.matching import match_points

TRAIN, VAL = ("train_0", "train_1", "train_2"), ("val_0", "val_1")
TEST = tuple(f"test_{number}" for number in range(8))
REGIONS = (*TRAIN, *VAL, *TEST)
SIDE, PART = 640, 320
"""px of a region, and of the generated images that it is stitched of."""
NAMES = ("positive", "negative")
RADIUS_PX = 12.0


def make_slide(folder: Path, seed: int) -> dict[str, list]:
    """The slide and its regions as PNG below `folder`; cells of each region."""
    (folder / "slide").mkdir(parents=True, exist_ok=True)
    cells: dict[str, list] = {}
    strip = []
    for number, region in enumerate(REGIONS):
        pixels = np.zeros((SIDE, SIDE, 3), np.uint8)
        cells[region] = []
        for part in range((SIDE // PART) ** 2):
            index = number * 100 + part
            record = source.make_image(1000 + seed, index, size_hw=(PART, PART))
            top, left = (PART * offset for offset in divmod(part, SIDE // PART))
            pixels[top : top + PART, left : left + PART] = record.image
            for (y, x), label in zip(record.points_yx, record.labels, strict=True):
                cells[region].append((float(y) + top, float(x) + left, int(label)))
        strip.append(pixels)
        place = folder / ("slide" if region in TRAIN else "") / f"{region}.png"
        Image.fromarray(pixels).save(place)
    Image.fromarray(np.concatenate(strip, 1)).save(folder / "slide.png")
    return cells


def write_set(folder: Path, root: Path, marked: list, cells: dict[str, list]) -> None:
    """A set of all regions, of which the first have the cells `marked` alone."""
    (root / "images").mkdir(parents=True, exist_ok=True)
    for region in TRAIN:
        own = [cell for name, cell in marked if name == region]
        write_points(root / "annotations" / f"{region}.geojson", own)
        image = (folder / "slide" / f"{region}.png").read_bytes()
        (root / "images" / f"{region}.png").write_bytes(image)
    add_regions(folder, root, cells)


def add_regions(folder: Path, root: Path, cells: dict[str, list]) -> None:
    """The regions that are annotated in whole."""
    for region in (*VAL, *TEST):
        write_points(root / "annotations" / f"{region}.geojson", cells[region])
        image = (folder / f"{region}.png").read_bytes()
        (root / "images" / f"{region}.png").write_bytes(image)


def write_points(path: Path, cells: list) -> None:
    """Points as somebody drew them in QuPath."""
    path.parent.mkdir(parents=True, exist_ok=True)
    features = [drawn(y, x, label) for y, x, label in cells]
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))


def drawn(y: float, x: float, label: int) -> dict:
    """A point as somebody draws it in QuPath."""
    color = [[200, 50, 50], [90, 90, 180]][label]
    classification = {"name": NAMES[label], "color": color}
    return {
        "type": "Feature",
        "geometry": {"type": "Point", "coordinates": [round(x, 2), round(y, 2)]},
        "properties": {"objectType": "annotation", "classification": classification},
    }


def place_of(feature: dict) -> tuple[float, float, int]:
    """(y, x) and class of a point; predictions have QuPath's names, "Positive"."""
    x, y = feature["geometry"]["coordinates"]
    name = feature["properties"]["classification"]["name"]
    return y, x, NAMES.index(name.lower())


def correct(
    found: Path, mine: Path, truth: dict[str, list], number: int, seed: int
) -> None:
    """What a person does who sees the surest mistakes first, and cells that lack.

    Cells that are none, wrong classes and missed cells in turn, `number` in all.
    """
    contents, queues = {}, ([], [], [])
    for region, cells in truth.items():
        content = json.loads((found / f"{region}.png.geojson").read_text())
        contents[region] = content
        features = content["features"]
        places = np.array([place_of(one)[:2] for one in features]).reshape(-1, 2)
        true_yx = np.array([cell[:2] for cell in cells]).reshape(-1, 2)
        pairs = dict(match_points(places, true_yx, RADIUS_PX).tolist())
        for index, one in enumerate(features):
            surely = -one["properties"]["measurements"]["score"]
            if index not in pairs:
                queues[0].append((surely, region, index, None))
            elif place_of(one)[2] != cells[pairs[index]][2]:
                queues[1].append((surely, region, index, cells[pairs[index]]))
        for index in sorted(set(range(len(cells))) - set(pairs.values())):
            queues[2].append((0.0, region, index, cells[index]))
    missed = np.random.default_rng(seed).permutation(len(queues[2]))
    waiting = [sorted(queues[0]), sorted(queues[1]), [queues[2][i] for i in missed]]
    done = []
    while len(done) < number and any(waiting):
        done += [(kind, *queue.pop(0)) for kind, queue in enumerate(waiting) if queue]
    done = done[:number]
    mine.mkdir(exist_ok=True)
    for region, content in contents.items():
        own = [
            (kind, index, cell) for kind, _, name, index, cell in done if name == region
        ]
        gone = {index for kind, index, _ in own if kind == 0}
        for _, index, cell in (one for one in own if one[0] == 1):
            right = drawn(*cell)["properties"]["classification"]
            content["features"][index]["properties"]["classification"] = right
        left = [one for i, one in enumerate(content["features"]) if i not in gone]
        content["features"] = left + [
            drawn(*cell) for kind, _, cell in own if kind == 2
        ]
        (mine / f"{region}.geojson").write_text(json.dumps(content))
    kinds = [sum(one[0] == kind for one in done) for kind in range(3)]
    print(f"{mine}: deleted, relabelled, added: {kinds}", flush=True)
