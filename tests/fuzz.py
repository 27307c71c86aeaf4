"""Mutated small sets: each is read, or refused by one line; `python tests/fuzz.py`.

A set of every format is written, then changed at random in its bytes (flips, cuts,
repeats), its text (numbers, words, lines, JSON values) or its files (renamed, copied,
moved, emptied). Whatever it is then, no reader may raise anything but a `DataError` of
one line, and no record may contradict itself. `--seed` repeats one set.
"""

import argparse
from collections.abc import Callable, Iterator
import json
import logging
from pathlib import Path
import random
import re
import shutil
import struct
import sys
import tempfile
import warnings
import zipfile

import h5py
import numpy as np
from PIL import Image
import tifffile

from cellrec_jax.data import readers
from cellrec_jax.data.readers import csv_points, json_points
from cellrec_jax.data.record import Record, Source
from cellrec_jax.errors import DataError

H, W = 24, 36
CELLS_XY = [(5, 7), (20, 9), (30, 18)]
_ROI_HEADER = 64


def write_set(root: Path, name: str) -> None:
    """A small set of one format: two images, three cells each."""
    for image_id in ("1", "2"):
        _WRITERS[name](root, image_id)


def _file(root: Path, name: str) -> Path:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def _image(root: Path, name: str) -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (H, W, 3), np.uint8)
    path = _file(root, name)
    if path.suffix == ".tif":
        tifffile.imwrite(path, pixels)
    else:
        Image.fromarray(pixels).save(path)


def _ids() -> np.ndarray:
    ids = np.zeros((H, W), np.uint8)
    for number, (x, y) in enumerate(CELLS_XY, 1):
        ids[y - 2 : y + 3, x - 2 : x + 3] = number
    return ids


def _bcdata(root: Path, image_id: str) -> None:
    _image(root, f"images/{image_id}.png")
    for name in ("positive", "negative"):
        with h5py.File(_file(root, f"annotations/{name}/{image_id}.h5"), "w") as file:
            file["coordinates"] = np.array(CELLS_XY)


def _json_points(root: Path, image_id: str) -> None:
    _image(root, f"images/{image_id}.png")
    items = [{"x": x, "y": y, "label_id": 1 + x % 2} for x, y in CELLS_XY]
    _file(root, f"json/{image_id}.json").write_text(json.dumps(items, indent=1))


def _csv_points(root: Path, image_id: str) -> None:
    _image(root, f"train/images/{image_id}.png")
    lines = [f"{x},{y},{'ab'[x % 2]},{x}\n" for x, y in CELLS_XY]
    text = "x,y,class,score\n" + "".join(lines)
    _file(root, f"train/labels/{image_id}.csv").write_text(text)


def _csv_boxes(root: Path, image_id: str) -> None:
    _image(root, f"{image_id}.png")
    lines = [f"{x - 2},{y - 2},4.5,4,{x % 2}\n" for x, y in CELLS_XY]
    text = "left,top,width,height,category\n" + "".join(lines)
    _file(root, f"{image_id}.csv").write_text(text)
    Image.fromarray(_ids()).save(_file(root, f"ignore/{image_id}.png"))


def _dot_maps(root: Path, image_id: str) -> None:
    _image(root, f"source/{image_id}.png")
    dots = np.zeros((H, W), np.uint8)
    dots[[y for _, y in CELLS_XY], [x for x, _ in CELLS_XY]] = 255
    Image.fromarray(dots).save(_file(root, f"dots/{image_id}.png"))


def _qupath(root: Path, image_id: str) -> None:
    _image(root, f"images/{image_id}.png")
    features = []
    for i, (x, y) in enumerate(CELLS_XY):
        corners = [[x, y], [x + 4, y], [x + 4, y + 3.5], [x, y]]
        shape: tuple[str, list] = ("MultiPoint", [[x, y]])
        if i:
            shape = ("Polygon", [corners])
        kind = "Ignore*" if image_id == "2" and i == 2 else "ab"[x % 2]
        features.append(
            {
                "type": "Feature",
                "geometry": {"type": shape[0], "coordinates": shape[1]},
                "properties": {
                    "objectType": ("annotation", "detection")[i % 2],
                    "classification": {"name": kind, "color": [1, 2, 3]},
                    "measurements": {"score": 0.5},
                },
            }
        )
    content = {"type": "FeatureCollection", "features": features}
    _file(root, f"annotations/{image_id}.geojson").write_text(
        json.dumps(content, indent=1)
    )


def _cvat(root: Path, image_id: str) -> None:
    _image(root, f"images/{image_id}.png")
    file = _file(root, "annotations.xml")
    text = "<annotations>\n<version>1.1</version>\n</annotations>"
    if file.is_file():
        text = file.read_text()
    (ax, ay), (bx, by), (cx, cy) = CELLS_XY
    shapes = (
        f'<points label="a" points="{ax},{ay};{bx}.5,{by}"/>\n'
        f'<box label="b" xtl="{ax}" ytl="{ay}" xbr="{bx}" ybr="{by}" rotation="30"/>\n'
        f'<polygon label="Ignore*" points="{ax},{ay};{bx},{by};{cx},{cy}"/>\n'
        f'<ellipse label="b" cx="{cx}" cy="{cy}" rx="2" ry="3.5"/>\n'
        f'<mask label="a" left="{cx}" top="3" width="3" height="2" rle="1, 3, 2"/>\n'
    )
    image = (
        f'<image id="0" name="{image_id}.png" width="{W}" height="{H}">\n'
        f"{shapes}</image>\n</annotations>"
    )
    file.write_text(text.replace("</annotations>", image))


def _label_studio(root: Path, image_id: str) -> None:
    _image(root, f"images/{image_id}.png")
    file = _file(root, "project.json")
    tasks = json.loads(file.read_text()) if file.is_file() else []
    (ax, ay), (bx, by), (cx, cy) = CELLS_XY
    values: list[dict] = [
        {"x": ax, "y": ay, "width": 0.5, "keypointlabels": ["a"]},
        {"x": bx, "y": by, "width": 9, "height": 8, "rotation": 20, "labels": ["b"]},
        {"x": cx, "y": cy, "radiusX": 3, "radiusY": 4, "ellipselabels": ["a"]},
        {"points": [[1, 2], [20, 2], [20, 30]], "polygonlabels": ["Ignore*"]},
    ]
    results = [
        {
            "id": f"r{i}",
            "from_name": "label",
            "original_width": W,
            "original_height": H,
            "image_rotation": 0,
            "value": value,
        }
        for i, value in enumerate(values)
    ]
    image = f"/data/upload/1/0123abcd-{image_id}.png"
    task = {
        "id": int(image_id),
        "annotations": [{"id": 1, "completed_by": 1, "result": results}],
        "data": {"image": image},
    }
    file.write_text(json.dumps([*tasks, task], indent=1))


def _yolo(root: Path, image_id: str) -> None:
    _image(root, f"images/train/{image_id}.png")
    lines = [f"{x % 2} {x / W:.4f} {y / H:.4f} 0.1 0.2\n" for x, y in CELLS_XY[:2]]
    lines += ["1 0.5 0.5 0.6 0.5 0.6 0.7\n", "0 0.2 0.3 0.1 0.1 0.9\n"]
    _file(root, f"labels/train/{image_id}.txt").write_text("".join(lines))
    _file(root, "data.yaml").write_text("train: images\nnc: 2\nnames: ['a', b]\n")


def _grand_challenge(root: Path, image_id: str) -> None:
    _image(root, f"images/{image_id}.png")
    points = [
        {"name": f"{'ab'[x % 2]} {i}", "point": [x, y + 0.25, 0.5], "probability": 1}
        for i, (x, y) in enumerate(CELLS_XY)
    ]
    content = {"type": "Multiple points", "name": "cells", "points": points}
    _file(root, f"json/{image_id}.json").write_text(json.dumps(content, indent=1))


def _ocelot(root: Path, image_id: str) -> None:
    _image(root, f"images/train/cell/{image_id}.png")
    lines = [f"{x},{y},{1 + x % 2}\n" for x, y in CELLS_XY]
    file = _file(root, f"annotations/train/cell/{image_id}.csv")
    file.write_text("".join(lines))
    pairs = {name: {"slide_name": "s"} for name in "12"}
    _file(root, "metadata.json").write_text(json.dumps({"sample_pairs": pairs}))


def _asap(root: Path, image_id: str) -> None:
    _image(root, f"images/{image_id}.png")
    lines = [
        f'<Annotation Name="{x}" Type="Dot" PartOfGroup="{"ab"[x % 2]}" Color="#0">'
        f'<Coordinates>\n<Coordinate Order="0" X="{x}.25" Y="{y}"/></Coordinates>'
        "</Annotation>\n"
        for x, y in CELLS_XY
    ]
    corners = "".join(
        f'<Coordinate Order="{i}" X="{x}" Y="{y}"/>\n'
        for i, (x, y) in enumerate(CELLS_XY)
    )
    lines.append(
        '<Annotation Name="i" Type="Polygon" PartOfGroup="Ignore*">\n<Coordinates>'
        f"{corners}</Coordinates></Annotation>\n"
    )
    text = f"<ASAP_Annotations><Annotations>\n{''.join(lines)}</Annotations>"
    file = _file(root, f"annotations/{image_id}.xml")
    file.write_text(f'<?xml version="1.0"?>\n{text}\n</ASAP_Annotations>')


def _aperio(root: Path, image_id: str) -> None:
    _image(root, f"{image_id}.tif")
    layers = []
    for i, (x, y) in enumerate(CELLS_XY):
        places = [(x, y), (x + 4, y), (x + 4, y + 3.5)]
        corners = "".join(f'<Vertex X="{a}" Y="{b}" Z="0"/>\n' for a, b in places)
        layers.append(
            f'<Annotation Id="{i}" Name="" LineColor="{255 << 8 * (i % 2)}"><Regions>'
            f'\n<Region Id="1" Type="{i % 2}" NegativeROA="0"><Vertices>{corners}'
            "</Vertices></Region></Regions></Annotation>\n"
        )
    text = f'<Annotations MicronsPerPixel="0.5">\n{"".join(layers)}</Annotations>'
    _file(root, f"{image_id}.xml").write_text(text)


def _imagej(root: Path, image_id: str) -> None:
    _image(root, f"{image_id}.tif")
    points = np.array(CELLS_XY).T
    head = struct.pack(">4shBxhhhhH", b"Iout", 227, 10, 0, 0, H, W, len(CELLS_XY))
    second = _ROI_HEADER + 4 * len(CELLS_XY)
    head += struct.pack(">i14xi10xh8xi", 0, 0, 0, second)
    data = head + points.astype(">i2").tobytes()
    data += struct.pack(">30xB17xi12x", 0, second + 64)
    data += np.arange(len(CELLS_XY)).astype(">u4").tobytes()
    if image_id == "1":
        _file(root, f"{image_id}.roi").write_bytes(data)
        return
    with zipfile.ZipFile(_file(root, f"{image_id}.zip"), "w") as stored:
        stored.writestr("0001.roi", data)


def _table(root: Path, image_id: str) -> None:
    _image(root, f"images/{image_id}.png")
    file = _file(root, "detections.csv")
    lines = [f"{image_id}.png,{x},{y}.5,0.75,{'ab'[x % 2]}\n" for x, y in CELLS_XY]
    text = file.read_text() if file.is_file() else "image,x,y,score,class\n"
    file.write_text(text + "".join(lines))


def _coco(root: Path, image_id: str) -> None:
    _image(root, f"images/{image_id}.png")
    file = _file(root, "annotations/instances.json")
    names = [{"id": 1, "name": "a", "supercategory": "cell"}, {"id": 2, "name": "b"}]
    content: dict = {"images": [], "annotations": [], "categories": names}
    if file.is_file():
        content = json.loads(file.read_text())
    content["images"].append(
        {"id": int(image_id), "file_name": f"{image_id}.png", "width": W, "height": H}
    )
    runs = {"size": [H, W], "counts": [H * 3 + 4, 5, H * W - H * 3 - 9]}
    for i, (x, y) in enumerate(CELLS_XY):
        box = {"bbox": [x - 2, y - 2, 4, 4.5], "iscrowd": int(i == 2)}
        place = (
            ({"keypoints": [x, y, 2]}, {"segmentation": runs}, box)[i]
            if (image_id == "2")
            else box
        )
        content["annotations"].append(
            {"id": i, "image_id": int(image_id), "category_id": 1 + i % 2, **place}
        )
    file.write_text(json.dumps(content, indent=1))


def _voc(root: Path, image_id: str) -> None:
    _image(root, f"JPEGImages/{image_id}.png")
    objects = "".join(
        f"<object><name>{'ab'[x % 2]}</name><difficult>{int(x > 25)}</difficult>\n"
        f"<bndbox><xmin>{x - 2}</xmin><ymin>{y - 2}</ymin>\n"
        f"<xmax>{x + 2}</xmax><ymax>{y + 2}</ymax></bndbox></object>\n"
        for x, y in CELLS_XY
    )
    _file(root, f"Annotations/{image_id}.xml").write_text(
        '<?xml version="1.0" encoding="utf-8"?>\n<annotation>\n'
        f"<filename>{image_id}.png</filename>\n"
        f"<size><width>{W}</width><height>{H}</height></size>\n{objects}</annotation>\n"
    )


def _instance_masks(root: Path, image_id: str) -> None:
    _image(root, f"{image_id}/images/{image_id}.png")
    ids = _ids()
    for number in range(1, 4):
        mask = (ids == number) * np.uint8(255)
        Image.fromarray(mask).save(_file(root, f"{image_id}/masks/m{number}.png"))


def _label_images(root: Path, image_id: str) -> None:
    _image(root, f"images/{image_id}.tif")
    tifffile.imwrite(_file(root, f"labels/{image_id}.tif"), _ids().astype(np.uint16))
    Image.fromarray(_ids() < 3).save(_file(root, f"annotated/{image_id}.png"))


def _cellpose(root: Path, image_id: str) -> None:
    _image(root, f"{image_id}.png")
    if image_id == "1":
        np.save(_file(root, f"{image_id}_cp_masks.npy"), _ids().astype(np.int32))
    else:
        tifffile.imwrite(_file(root, f"{image_id}_cp_masks.tif"), _ids())


def _mitos(root: Path, image_id: str) -> None:
    _image(root, f"A03/frames/x40/A03_0{image_id}.tif")
    lines = [f"{x},{y},{x / 40}\n" for x, y in CELLS_XY]
    for name in ("mitosis", "not_mitosis"):
        file = _file(root, f"A03/mitosis/A03_0{image_id}_{name}.csv")
        file.write_text("".join(lines))


def _cell_tracking(root: Path, image_id: str) -> None:
    _image(root, f"01/t00{image_id}.tif")
    ids = _ids().astype(np.uint16)
    tifffile.imwrite(_file(root, f"01_GT/TRA/man_track00{image_id}.tif"), ids)
    tifffile.imwrite(_file(root, f"01_ST/SEG/man_seg00{image_id}.tif"), ids)


def _slides(root: Path, image_id: str) -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (H, W, 3), np.uint8)
    with tifffile.TiffWriter(_file(root, f"{image_id}.tif")) as file:
        for number in range(2):
            level = np.ascontiguousarray(pixels[:: 1 + number, :: 1 + number])
            options = {"photometric": "rgb", "compression": "deflate"}
            file.write(level, tile=(16, 16), subfiletype=number, **options)
    points = [
        {
            "geometry": {"type": "Point", "coordinates": [x, y]},
            "properties": {"classification": {"name": "ab"[x % 2]}},
        }
        for x, y in CELLS_XY
    ]
    ring = [[1, 2], [30, 3], [25, 20.5], [1, 2]]
    region = {
        "geometry": {"type": "Polygon", "coordinates": [ring]},
        "properties": {"classification": {"name": "Region*"}},
    }
    if image_id == "1":
        content = json.dumps([*points, region], indent=1)
        _file(root, "annotations/1.geojson").write_text(content)
    else:
        _asap(root, image_id)
        (root / "images/2.png").unlink()


_WRITERS: dict[str, Callable[[Path, str], None]] = {
    "bcdata": _bcdata,
    "json_points": _json_points,
    "csv_points": _csv_points,
    "csv_boxes": _csv_boxes,
    "dot_maps": _dot_maps,
    "qupath": _qupath,
    "cvat": _cvat,
    "table": _table,
    "imagej": _imagej,
    "asap": _asap,
    "aperio": _aperio,
    "grand_challenge": _grand_challenge,
    "ocelot": _ocelot,
    "yolo": _yolo,
    "label_studio": _label_studio,
    "coco": _coco,
    "voc": _voc,
    "instance_masks": _instance_masks,
    "label_images": _label_images,
    "cellpose": _cellpose,
    "mitos": _mitos,
    "cell_tracking": _cell_tracking,
    "slides": _slides,
}


def _flip(data: bytes, rng: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(rng.choice((1, 3, 30))):
        if changed:
            changed[rng.randrange(len(changed))] = rng.randrange(256)
    return bytes(changed)


def _cut(data: bytes, rng: random.Random) -> bytes:
    first, last = sorted(rng.randrange(len(data) + 1) for _ in range(2))
    return rng.choice((data[:first], data[last:], data[:first] + data[last:]))


def _repeat(data: bytes, rng: random.Random) -> bytes:
    first, last = sorted(rng.randrange(len(data) + 1) for _ in range(2))
    return data[:last] + data[first:last] * rng.choice((1, 5)) + data[last:]


_NUMBERS = (
    *("0", "1", "-1", "0.5", "1e300", "-1e-300", "NaN", "Infinity", "null", "true"),
    *(
        '"7"',
        "",
        "[1]",
        '{"a": 1}',
        "999999999999999999999999",
        "1,5",
        "[]",
        "{}",
        '""',
        '"\\u0000"',
    ),
)
_WORDS = ("", "x", "y", "bbox", "class", "id", "width", "name", "\u00e9\u0301", "a\0b")


def _replace(pattern: str, words: tuple[str, ...]) -> Callable[..., bytes]:
    def change(data: bytes, rng: random.Random) -> bytes:
        text = data.decode("latin-1")
        found = list(re.finditer(pattern, text))
        if not found:
            return _flip(data, rng)
        for match in rng.sample(found, min(len(found), rng.choice((1, 1, 4))))[:1]:
            start, end = match.span()
            text = text[:start] + rng.choice(words) + text[end:]
        return text.encode("utf-8" if rng.random() < 0.5 else "latin-1", "replace")

    return change


def _lines(data: bytes, rng: random.Random) -> bytes:
    lines = data.splitlines(keepends=True)
    rng.shuffle(lines)
    return b"".join(lines[: rng.randrange(len(lines) + 1)])


def _encode(data: bytes, rng: random.Random) -> bytes:
    encoding = rng.choice(("utf-16", "utf-16-le", "utf-8-sig", "cp1252", "utf-32"))
    return data.decode("latin-1").encode(encoding, "replace")


_VALUES = (
    None,
    True,
    0,
    -3,
    2.5,
    1e300,
    10**30,
    "",
    "7",
    "x",
    [],
    [1, 2],
    {},
    {"a": 1},
)


def _json_node(data: bytes, rng: random.Random) -> bytes:
    """Another value in one place of a JSON, or one place more or less."""
    try:
        content = json.loads(data)
    except ValueError:
        return _flip(data, rng)
    nodes = list(_containers(content))
    if not nodes:
        return json.dumps(rng.choice(_VALUES)).encode()
    node = rng.choice(nodes)
    keys = list(node) if isinstance(node, dict) else list(range(len(node)))
    if not keys:
        return json.dumps([content]).encode()
    key, kind = rng.choice(keys), rng.randrange(4)
    if kind == 0:
        del node[key]
    elif kind == 1:
        if isinstance(node, list):
            node.append(node[key])
        else:
            node[rng.choice(_WORDS)] = node[key]
    else:
        node[key] = rng.choice(_VALUES)
    return json.dumps(content).encode()


def _containers(content: object) -> Iterator:
    if isinstance(content, dict | list):
        yield content
        for value in content.values() if isinstance(content, dict) else content:
            yield from _containers(value)


_OF_BYTES = (_flip, _cut, _repeat)
_OF_TEXT = (
    *(_replace(r"-?\d+(\.\d+)?", _NUMBERS), _replace(r"[A-Za-z_]+", _WORDS)),
    *(_replace(r"[,:{}\[\]<>/\"\n]", ("", ",", "\n", "]", "<")), _lines, _encode),
)
_TEXT_ENDINGS = (".json", ".geojson", ".csv", ".xml", ".txt", ".yaml")


def mutate(root: Path, rng: random.Random) -> None:
    """Changes one to three things of a set."""
    for _ in range(rng.choice((1, 1, 2, 3))):
        files = sorted(file for file in root.rglob("*") if file.is_file())
        if not files:
            return
        file = rng.choice(files)
        if rng.random() < 0.3:
            _change_files(root, file, rng)
            continue
        is_text = file.suffix in _TEXT_ENDINGS and rng.random() < 0.8
        change = rng.choice(_OF_TEXT if is_text else _OF_BYTES)
        if is_text and file.suffix.endswith("json") and rng.random() < 0.5:
            change = _json_node
        file.write_bytes(change(file.read_bytes(), rng))


def _change_files(root: Path, file: Path, rng: random.Random) -> None:
    target = file.with_suffix(rng.choice((".png", ".jpg", ".tif", ".json", ".xml", "")))
    names = ("images", "labels", "masks", "annotated", "ignore", "dots", "e\u0301")
    kind = rng.randrange(6)
    if kind == 0:
        file.unlink()
    elif kind == 1:
        file.write_bytes(b"")
    elif kind == 2 and not target.exists():
        shutil.copy(file, target)
    elif kind == 3:
        others = [f for f in root.rglob(f"*{file.suffix}") if f != file and f.is_file()]
        if others:
            shutil.copy(rng.choice(others), file)
    elif kind == 4:
        place = root / rng.choice(names) / file.name
        place.parent.mkdir(exist_ok=True)
        if not place.exists():
            shutil.copy(file, place)
    elif not target.exists():
        target.mkdir()


def check(root: Path, name: str) -> str:
    """Reads a set as `auto` and by its format; "read" or "refused", or fails."""
    forced = {"csv_boxes": "csv_points", "cellpose": "label_images"}.get(name, name)
    outcome = "refused"
    for format_name in ("auto", forced):
        try:
            source = readers.open_source(root, format_name)
            for image_id in source.image_ids:
                check_image(source, image_id)
            assert all(count > 0 for count in source.repairs.values()), source.repairs
            outcome = "read"
        except DataError as error:
            message = str(error)
            if not message.strip() or "\n" in message:
                raise ValueError(f"not one line: {message!r}") from error
    return outcome


def check_image(source: Source, image_id: str) -> None:
    """Fails where an image's cells differ from read to read, or vanish untold."""
    assert source.annotations is not None
    assert source.files is not None
    seen, record = source.annotations(image_id), source.load(image_id)
    check_record(record, source)
    np.testing.assert_array_equal(seen.points_yx, record.points_yx)
    np.testing.assert_array_equal(seen.labels, record.labels)
    tables = {"csv_points": csv_points, "json_points": json_points}
    if source.format in tables:
        table = tables[source.format].read_table(source.files(image_id)[1])
        told = source.repairs.by_image[image_id].items()
        dropped = sum(count for what, count in told if what.endswith("dropped"))
        assert len(table.rows) == len(record.labels) + dropped


def check_record(record: Record, source: Source) -> None:
    """Fails where a record contradicts itself."""
    height, width = record.image.shape[:2]
    number = len(record.points_yx)
    assert record.image_id in source.image_ids
    assert record.points_yx.shape == (number, 2)
    assert record.points_yx.dtype == np.float32
    assert np.isfinite(record.points_yx).all()
    assert ((record.points_yx >= 0) & (record.points_yx < (height, width))).all()
    assert record.labels.shape == (number,)
    assert ((record.labels >= 0) & (record.labels < len(source.class_names))).all()
    assert all(source.class_names)
    assert len(set(source.class_names)) == len(source.class_names)
    if record.boxes_yxyx is not None:
        boxes = record.boxes_yxyx
        assert boxes.shape == (number, 4)
        assert np.isfinite(boxes).all()
        assert (boxes[:, 2:] > boxes[:, :2]).all()
        assert (boxes[:, :2] >= 0).all()
        assert (boxes[:, 2:] <= (height, width)).all()
    if record.masks is not None:
        found = np.unique(record.masks)
        assert found[found > 0].tolist() == list(range(1, number + 1))
    for plane in (record.masks, record.annotated, record.ignore):
        assert plane is None or plane.shape == (height, width)


def run(seed: int, folder: Path) -> str:
    """Writes, changes and checks the set of a number."""
    rng = random.Random(seed)
    name = [*_WRITERS][seed % len(_WRITERS)]
    root = folder / f"{seed}"
    root.mkdir()
    write_set(root, name)
    mutate(root, rng)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            outcome = check(root, name)
    except Exception as error:
        raise AssertionError(f"fuzz.py --seed {seed} ({name}): {error!r}") from error
    shutil.rmtree(root)
    return outcome


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sets", type=int, default=2000)
    parser.add_argument("--seed", type=int, help="of the one set to run")
    arguments = parser.parse_args()
    seeds = range(arguments.sets) if arguments.seed is None else [arguments.seed]
    logging.getLogger("tifffile").setLevel(logging.CRITICAL)
    outcomes = {"read": 0, "refused": 0}
    with tempfile.TemporaryDirectory() as folder:
        for seed in seeds:
            outcomes[run(seed, Path(folder))] += 1
    print(outcomes)
    return 0


if __name__ == "__main__":
    sys.exit(main())
