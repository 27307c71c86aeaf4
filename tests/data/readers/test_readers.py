import importlib
from pathlib import Path

import h5py
import numpy as np
from PIL import Image
import pytest

from cellrec_jax.data.classes import merge_classes
from cellrec_jax.data.readers import (
    FORMATS,
    LAYOUTS,
    find_format,
    open_source,
)
from cellrec_jax.errors import ConfigError, DataError


@pytest.fixture
def bcdata(tmp_path: Path) -> Path:
    (tmp_path / "images").mkdir()
    Image.fromarray(np.zeros((9, 12, 3), np.uint8)).save(tmp_path / "images" / "1.png")
    for name in ("positive", "negative"):
        (tmp_path / "annotations" / name).mkdir(parents=True)
        with h5py.File(tmp_path / "annotations" / name / "1.h5", "w") as file:
            file["coordinates"] = np.array([(7, 3)])
    return tmp_path


def test_the_format_is_found(bcdata: Path) -> None:
    assert find_format(bcdata) == "bcdata"
    source = open_source(bcdata)
    assert source.format == "bcdata"
    assert merge_classes(source, "cell=positive+negative").class_names == ("cell",)


def test_two_candidates_are_named(bcdata: Path) -> None:
    (bcdata / "json").mkdir()
    (bcdata / "json" / "1.json").write_text('[{"x": 7, "y": 3}]')
    with pytest.raises(DataError, match="as bcdata and as json_points") as error:
        open_source(bcdata)
    for part in (
        "1 images, classes positive, negative with --config.data.format=bcdata",
        "1 images, classes cell with --config.data.format=json_points",
    ):
        assert part in str(error.value)
    assert open_source(bcdata, "json_points").format == "json_points"


def test_no_candidate_lists_the_layouts(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").touch()
    with pytest.raises(DataError) as error:
        find_format(tmp_path)
    assert LAYOUTS.keys() == FORMATS.keys()
    assert all(name in str(error.value) for name in FORMATS)
    assert "\n" not in str(error.value)


def test_unknown_format_names_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="did you mean 'json_points'"):
        open_source(tmp_path, "json-point")


def test_missing_empty_and_file_roots(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="does not exist"):
        open_source(tmp_path / "nothing")
    with pytest.raises(DataError, match="is empty"):
        open_source(tmp_path)
    (tmp_path / "a.png").touch()
    with pytest.raises(DataError, match="is a file"):
        open_source(tmp_path / "a.png")


@pytest.mark.parametrize("name", FORMATS)
def test_matches_never_raises(name: str, tmp_path: Path) -> None:
    reader = importlib.import_module(FORMATS[name])
    assert name == reader.NAME
    assert not reader.matches(tmp_path / "nothing")
    assert not reader.matches(tmp_path)
