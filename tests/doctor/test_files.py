"""What is told of images, slides, folders and work directories."""

import json
from types import SimpleNamespace

import flax
import imagecodecs
import numpy as np
from PIL import Image
import pytest
import tifffile

from cellrec_jax import config, errors, methods
from cellrec_jax.doctor import files, text
from cellrec_jax.workdir import checkpoint, pixel_size


def test_an_image(tmp_path):
    path = tmp_path / "a.tif"
    resolution = {"resolution": (40000, 40000), "resolutionunit": 3}
    tifffile.imwrite(path, np.zeros((5, 7, 3), np.uint16), **resolution)
    found = files.look(str(path))
    assert found == {
        "path": str(path),
        "kind": "image",
        "size": path.stat().st_size,
        "size_hw": [5, 7],
        "channels": 3,
        "bits": 16,
        "mpp": 0.25,
        "mpp_source": "TIFF resolution",
        "notes": [],
    }
    lines = text.of_file(found)
    assert "  size               5 x 7 px, " in lines[1]
    assert lines[2:] == [
        "  channels           3 of 16 bits",
        "  pixel size         0.25 um per px, by TIFF resolution",
    ]


def test_what_is_to_be_told_of_an_image(tmp_path):
    path = tmp_path / "a.jpg"
    pixels = np.zeros((5, 7, 3), np.uint16)
    path.write_bytes(imagecodecs.png_encode(pixels))
    found = files.look(str(path))
    assert (found["bits"], found["mpp"]) == (16, 0)
    *_, size, note = text.of_file(found)
    assert "unknown (--mpp gives it)" in size
    assert "content is not what the end of their name says" in note


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("none.png", "there is no such file or folder"),
        ("damaged.png", "damaged"),
        ("slide.svs", "cannot read"),
        ("notes.txt", "not of a kind that is read"),
        ("empty", "no images there"),
        ("*.svs", "no images there"),
        ("a.lif", ".lif is not read"),
        ("a.vsi", ".vsi is not read"),
        ("a.qpdata", "export GeoJSON from QuPath"),
    ],
)
def test_what_cannot_be_used_has_a_reason(name, why, tmp_path):
    path = tmp_path / name
    if name == "empty":
        path.mkdir()
    elif name not in ("none.png", "*.svs"):
        path.write_bytes(b"\x89PNG no image")
    found = files.look(str(path))
    assert found.keys() == {"path", "error"}
    assert why in found["error"]
    (line,) = text.of_file(found)
    assert line == f"{path}: cannot be used: {found['error']}"


def test_a_folder(tmp_path):
    for name in ("a.png", "b.png"):
        Image.fromarray(np.zeros((5, 7), np.uint8)).save(tmp_path / name)
    (tmp_path / "list.xlsx").touch()
    found = files.look(str(tmp_path))
    assert (found["kind"], found["images"]) == ("folder", 2)
    assert any("list.xlsx" in line for line in text.of_file(found))


def test_a_pyramid_that_ends_too_early(tmp_path):
    """Its levels are written before its tiles are: 4 and 1 of 64 px, uncompressed."""
    path = tmp_path / "a.tif"
    options = {"tile": (64, 64), "photometric": "rgb", "metadata": None}
    with tifffile.TiffWriter(path) as tiff:
        tiff.write(np.zeros((128, 128, 3), np.uint8), subifds=1, **options)
        tiff.write(np.zeros((64, 64, 3), np.uint8), subfiletype=1, **options)
    assert not any("damaged" in note for note in files.look(str(path))["notes"])
    with tifffile.TiffFile(path) as file:
        last = file.pages[0].pages[0].dataoffsets[0]
        level = file.pages[0].pages[0].offset
    path.write_bytes(path.read_bytes()[: max(last, level + 600)])
    (note, *_) = files.look(str(path))["notes"]
    assert note.startswith("damaged: 1 of 5 tiles")


def test_a_pattern_and_slides_among_images(tmp_path):
    for name in ("a.png", "b.jpg"):
        Image.fromarray(np.zeros((5, 7), np.uint8)).save(tmp_path / name)
    (tmp_path / "c.svs").touch()
    found = files.look(str(tmp_path / "*.png"))
    assert (found["kind"], found["images"], found["slides"]) == ("pattern", 1, 0)
    found = files.look(str(tmp_path))
    assert (found["kind"], found["images"], found["slides"]) == ("folder", 2, 1)
    assert "  slides             1" in text.of_file(found)


def test_a_slide(tmp_path, monkeypatch):
    """Of a reader that knows one slide, and fails at another."""
    level = SimpleNamespace(size_hw=(400, 600), downsample_yx=(1.0, 1.0))
    half = SimpleNamespace(size_hw=(200, 301), downsample_yx=(2.0, 1.99))
    described = SimpleNamespace(
        reader="tifffile",
        levels=(level, half),
        mpp=0.25,
        mpp_source="Aperio header",
        bounds_yxyx=(0, 10, 400, 500),
        num_bytes=2**21,
        notes=("slides whose label is not used",),
    )

    def describe(path):
        if path.name == "bad.svs":
            raise errors.DataError("a slide without levels")
        if path.name == "odd.svs":
            raise ZeroDivisionError("of the reader\nand more")
        return described

    monkeypatch.setattr(files.slides, "describe", describe)
    for name in ("a.svs", "bad.svs", "odd.svs"):
        (tmp_path / name).touch()
    found = files.look(str(tmp_path / "a.svs"))
    assert json.loads(json.dumps(found)) == found
    assert text.of_file(found)[1:] == [
        "  read by            tifffile, 2.0 MiB",
        "  level 0            400 x 600 px, 1 in 1",
        "  level 1            200 x 301 px, 1 in 2 x 1.99",
        "  pixel size         0.25 um per px, by Aperio header",
        "  bounds             y 0 to 400, x 10 to 500 px",
        "  note               slides whose label is not used",
    ]
    bad, odd = (files.look(str(tmp_path / name)) for name in ("bad.svs", "odd.svs"))
    assert bad["error"] == "a slide without levels"
    assert odd["error"] == "ZeroDivisionError: of the reader"


@flax.struct.dataclass
class _State:
    step: np.ndarray


def test_a_work_directory(tmp_path):
    """Without a checkpoint there is nothing to use yet."""
    experiment = methods.freeze({"method": "multitask", "total_steps": 40})
    stored = config.to_json(experiment)
    (tmp_path / "config.json").write_text(json.dumps(stored))
    assert "has no checkpoint" in files.look(str(tmp_path))["error"]
    meta = {
        "config": stored,
        "class_names": ["positive", "other"],
        "decode": {"thresholds": [0.25, 0.5], "min_distance": 3.0},
        "native_hw": [96, 128],
        "mpp": 0.0,
    }
    with checkpoint.open_manager(tmp_path, experiment.checkpoint) as manager:
        checkpoint.save(manager, _State(np.int32(30)), meta)
    (tmp_path / pixel_size.FILE).write_text('{"mpp": 0.5}')
    found = files.look(str(tmp_path))
    assert (found["step"], found["total_steps"], found["mpp"]) == (30, 40, 0.5)
    assert found["thresholds"] == {"positive": 0.25, "other": 0.5}
    assert found["thresholds_once"] == found["thresholds"]
    assert text.of_file(found)[1:] == [
        "  method             multitask",
        "  step               30 of 40",
        "  thresholds         positive 0.250, other 0.500",
        "  trained on         96 x 128 px, 0.5 um per px",
    ]
