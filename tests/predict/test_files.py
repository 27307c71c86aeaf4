"""Files to files; the cells themselves are tested in test_predictor."""

import numpy as np
from PIL import Image
import pytest

from cellrec_jax import errors
from cellrec_jax.config import DataConfig, Experiment
from cellrec_jax.io.console import Console
from cellrec_jax.methods import heatmap_pu
from cellrec_jax.predict import files
from cellrec_jax.predict.predictor import Predictor
from cellrec_jax.types import Detections, Method
from cellrec_jax.workdir.model import Model


def _one_cell(params, model_state, batch, decode):
    """Detects a cell at (12, 52), whatever it sees."""
    del params, model_state, batch, decode
    one = np.ones((1, 1), np.float32)
    points_yx = np.array([[[12, 52]]], np.float32)
    return Detections(
        points_yx, one, np.zeros((1, 1), np.int32), one[..., None], one > 0
    )


@pytest.fixture
def predictor():
    meta = {
        "class_names": ["cell"],
        "native_hw": [64, 96],
        "mpp": 0.5,
        "decode": {"thresholds": [0.5], "min_distance": 0.0},
    }
    data = DataConfig(size_hw=(64, 96), max_cells=1)
    experiment = Experiment("heatmap_pu", heatmap_pu.Options(), data=data)
    model = Model(experiment, Method(None, None, None), {}, {}, meta, 1)
    return Predictor(model, _one_cell)


def _image(height, width):
    return np.full((height, width, 3), 255, np.uint8)


def test_find_inputs(tmp_path):
    for name in ("2.png", "10.png"):
        Image.fromarray(np.zeros((4, 5, 3), np.uint8)).save(tmp_path / name)
    (tmp_path / "notes.txt").write_text("")
    names = [p.name for p in files.find_inputs(str(tmp_path))]
    assert names == ["2.png", "10.png"]
    assert len(files.find_inputs(str(tmp_path / "*.png"))) == 2
    assert len(files.find_inputs(str(tmp_path / "2.png"))) == 1
    with pytest.raises(errors.DataError, match="no images there"):
        files.find_inputs(str(tmp_path / "*.tif"))


def test_files_are_written_and_bad_ones_reported(predictor, tmp_path):
    Image.fromarray(_image(64, 96)).save(tmp_path / "a.png")
    (tmp_path / "b.png").write_bytes(b"no image")
    failed = files.predict_files(
        predictor,
        [tmp_path / "a.png", tmp_path / "b.png"],
        tmp_path / "out",
        Console(quiet=True),
    )
    assert len(failed) == 1
    assert "b.png" in failed[0]
    lines = (tmp_path / "out" / "detections.csv").read_text().splitlines()
    assert lines == ["image,x,y,score,class", "a.png,52.0,12.0,1.0,cell"]


def test_names_that_differ_by_a_slash_are_two_files(predictor, tmp_path):
    (tmp_path / "a").mkdir()
    for name in ("a/b.png", "a_b.png"):
        Image.fromarray(_image(64, 96)).save(tmp_path / name)
    paths = files.find_inputs(str(tmp_path))
    out = tmp_path / "out"
    files.predict_files(predictor, paths, out, Console(quiet=True))
    assert len(list(out.rglob("*.geojson"))) == len(list(out.rglob("*.png"))) == 2
