"""Images of grand-challenge and OCELOT: px, millimetres, numbers of images."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
import pytest
import tifffile

from cellrec_jax.data.readers import grand_challenge, ocelot, open_source
from cellrec_jax.errors import DataError


def _write(root: Path, name: str, content: Any) -> None:
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    (root / name).write_text(json.dumps(content))


def _image(root: Path, name: str, mpp: float = 0.0) -> None:
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    if mpp:
        pixels, per_cm = np.zeros((300, 400, 3), np.uint8), 1e4 / mpp
        resolution = {"resolution": (per_cm, per_cm), "resolutionunit": "CENTIMETER"}
        tifffile.imwrite(root / name, pixels, **resolution)
    else:
        Image.new("RGB", (400, 300)).save(root / name)


def _points(*points: tuple, name: str = "T") -> dict[str, Any]:
    items = [{"name": name, "point": list(point), "probability": 1} for point in points]
    return {"type": "Multiple points", "points": items}


def test_px_of_the_image(tmp_path: Path) -> None:
    _image(tmp_path, "images/a.png")
    _write(tmp_path, "json/a.json", _points((7, 3, 0), (200, 100, 0)))
    source = open_source(tmp_path)
    assert (source.format, source.class_names) == ("grand_challenge", ("T",))
    record = source.load("a")
    assert record.points_yx.tolist() == [[3.5, 7.5], [100.5, 200.5]]  # clicks
    assert record.scores.tolist() == [1, 1]
    _write(tmp_path, "json/a.json", _points((7, 3, 0), (200.25, 100, 0)))
    expected = [[3, 7], [100, 200.25]]
    assert open_source(tmp_path).load("a").points_yx.tolist() == expected


def test_millimetres(tmp_path: Path) -> None:
    _image(tmp_path, "a.tif", mpp=0.25)
    _write(tmp_path, "a.json", _points((0.02, 0.03), (0.09, 0.01)))
    source = open_source(tmp_path)
    record = source.load("a")
    np.testing.assert_allclose(record.points_yx, [[120, 80], [40, 360]], rtol=1e-5)
    assert source.repairs == {grand_challenge.IN_MM: 1}
    (tmp_path / "a.tif").unlink()
    _image(tmp_path, "a.png")
    with pytest.raises(DataError, match="seem to be millimetres"):
        open_source(tmp_path)


def test_ocelot_tables(tmp_path: Path) -> None:
    for split, name in (("train", "001"), ("val", "002"), ("test", "003")):
        for kind in ("cell", "tissue"):
            _image(tmp_path, f"images/{split}/{kind}/{name}.jpg")
        table = tmp_path / f"annotations/{split}/cell/{name}.csv"
        table.parent.mkdir(parents=True)
        table.write_text("" if name == "003" else f"7,3,{int(name)}\n200,100,1\n")
        (tmp_path / f"annotations/{split}/tissue").mkdir()
        Image.new("L", (4, 3)).save(tmp_path / f"annotations/{split}/tissue/{name}.png")
    slides = {"001": {"slide_name": "s"}, "002": {"slide_name": "s"}, "003": {}}
    _write(tmp_path, "metadata.json", {"sample_pairs": slides})
    source = open_source(tmp_path)
    assert source.format == "ocelot"
    assert source.class_names == ("background cell", "tumor cell")
    assert source.image_ids == ("test/cell/003", "train/cell/001", "val/cell/002")
    record = source.load("val/cell/002")
    assert record.points_yx.tolist() == [[3.5, 7.5], [100.5, 200.5]]
    assert record.labels.tolist() == [1, 0]
    assert len(source.load("test/cell/003").labels) == 0
    assert source.groups == {"train/cell/001": "s", "val/cell/002": "s"}


def test_ocelot_as_it_is_scored(tmp_path: Path) -> None:
    for name in ("2", "10"):
        _image(tmp_path, f"images/{name}.png")
    content = _points((7, 3, 2), (200, 100, 1), name="image_1")
    _write(tmp_path, "cells.json", content)
    source = open_source(tmp_path)
    assert (source.format, source.class_names) == ("ocelot", ocelot.CLASS_NAMES)
    assert len(source.load("2").labels) == 0
    record = source.load("10")
    assert record.points_yx.tolist() == [[3.5, 7.5], [100.5, 200.5]]
    assert record.labels.tolist() == [1, 0]
    _write(tmp_path, "cells.json", _points((7, 3, 3), name="image_0"))
    assert open_source(tmp_path).class_names == ("3",)
    _write(tmp_path, "cells.json", _points((7, 3, 3), name="image_2"))
    with pytest.raises(DataError, match="is of 3 images or more"):
        open_source(tmp_path)
