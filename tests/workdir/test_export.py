"""What is handed on for prediction: all that it reads, nothing else, and whole."""

import json
import shutil

import chex
from etils import epath
import jax
import numpy as np
import orbax.checkpoint as ocp
import pytest

from cellrec_jax import config, config_files, errors, main, methods
from cellrec_jax.data import appearance
from cellrec_jax.data.pixels import images
from cellrec_jax.train import start
from cellrec_jax.workdir import checkpoint, export, model, model_file
from tests import shipped

DECODE = {"thresholds": [0.25, 0.5], "min_distance": 3.0, "num_labels": [1, 2]}


def _saved(workdir, ema=0.0):
    """A work directory of three decoders and a first network, of numbers in order."""
    experiment = methods.freeze(
        {
            "method": "multitask",
            "model": {"network": "fcrn_a", "width": 2, "norm": "sync_batch"},
            "optim": {"ema": ema},
        }
    )
    method = methods.build(experiment, 2)
    spec = jax.eval_shape(lambda: start.make_state(experiment, method))
    leaves, structure = jax.tree.flatten(spec)
    filled = [
        np.full(leaf.shape, value, leaf.dtype) for value, leaf in enumerate(leaves, 3)
    ]
    state = jax.tree.unflatten(structure, filled)
    meta = {
        "config": config.to_json(experiment),
        "class_names": ["positive", "other"],
        "decode": DECODE,
        "mpp": 0.0,
    }
    with checkpoint.open_manager(workdir, experiment.checkpoint) as manager:
        checkpoint.save(manager, state, meta)
    return experiment


@pytest.mark.parametrize("ema", [0.0, 0.9])
def test_it_holds_what_prediction_reads_and_no_more(tmp_path, ema):
    experiment = _saved(tmp_path / "run", ema)
    restored = model.restore(tmp_path / "run")
    export.write(restored, experiment, tmp_path / "out")
    found = model.restore(tmp_path / "out")
    assert set(found.params) == set(found.model_state) == {"encoder", "main"}
    np.testing.assert_equal(
        jax.device_get((found.params, found.model_state)),
        jax.device_get((restored.params, restored.model_state)),
    )
    assert found.meta["decode"] == DECODE
    assert (found.step, found.class_names) == (restored.step, restored.class_names)
    with model._open(tmp_path / "out") as manager:
        path = manager.directory / str(found.step) / "state"
        tree = ocp.PyTreeCheckpointHandler().metadata(path).tree
    kept = {"step": 0, "params": found.params, "model_state": found.model_state}
    chex.assert_trees_all_equal_structs(_zeros(tree), _zeros(kept))
    sizes = [checkpoint.num_bytes(tmp_path / name) for name in ("out", "run")]
    assert 0 < sizes[0] < sizes[1] / 2


def _zeros(tree):
    return jax.tree.map(lambda _: 0, tree)


def test_weights_that_were_best_are_not_looked_for(tmp_path):
    """Prediction takes the last; so does the evaluation of what it reads."""
    experiment = methods.changed(_saved(tmp_path / "run"), {"eval.weights": "best"})
    export.write(model.restore(tmp_path / "run"), experiment, tmp_path / "out")
    stored = config_files.stored(tmp_path / "out", {})
    assert methods.changed(stored, {"eval.weights": "best"}) == experiment
    assert stored.eval.weights == "last"


def test_nothing_is_written_over_and_nothing_half(tmp_path, monkeypatch):
    experiment = _saved(tmp_path / "run")
    restored = model.restore(tmp_path / "run")
    for name in ("full", "file"):
        path = tmp_path / name
        file = path / "mine" if name == "full" else path
        file.parent.mkdir(exist_ok=True)
        file.write_text("mine")
        with pytest.raises(errors.ConfigError, match=rf"--output .*{name}: there is"):
            export.write(restored, experiment, path)
        assert file.read_text() == "mine"
    (tmp_path / "empty").mkdir()
    before = sorted(tmp_path.iterdir())

    def fail(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(export.writer, "write_json", fail)
        with pytest.raises(KeyboardInterrupt):
            export.write(restored, experiment, tmp_path / "out")
    assert sorted(tmp_path.iterdir()) == before
    export.write(restored, experiment, tmp_path / "empty")
    assert model.restore(tmp_path / "empty").step == restored.step


@pytest.fixture(scope="module")
def exported(trained, tmp_path_factory):
    """A copy of the run, and what the command makes of it."""
    folder = tmp_path_factory.mktemp("exported")
    run = shutil.copytree(trained, folder / "run")
    arguments = ["--workdir", str(run), "--output", str(folder / "out")]
    assert main.run(["--mode", "export", *arguments]) == 0
    return run, folder / "out"


def test_it_predicts_and_evaluates_alike(exported, bcdata_folder, tmp_path):
    tables, metrics = [], []
    for workdir in exported:
        cells, found = tmp_path / f"cells_{workdir.name}", tmp_path / workdir.name
        of = ["--workdir", str(workdir), "--output"]
        images = str(bcdata_folder / "images")
        predict = ["--mode", "predict", *of, str(cells), "--input", images]
        assert main.run(predict) == 0
        assert main.run(["--mode", "evaluate", *of, str(found)]) == 0
        tables.append((cells / "detections.csv").read_bytes())
        metrics.append(json.loads((found / "results.json").read_text())["metrics"])
    assert len(tables[0].splitlines()) > 1
    assert tables[0] == tables[1]
    assert metrics[0] == metrics[1]


def test_the_runs_training_images_are_known(exported, capsys):
    arguments = ["--workdir", str(exported[1]), "--config.data.train_ids=0-2"]
    assert main.run(["--mode", "evaluate", *arguments, "--config.data.test_ids=3"]) == 2
    assert "1 of these images trained this run (3)" in capsys.readouterr().err


def test_another_run_starts_from_it_alike(exported, tiny_experiment):
    method = methods.build(tiny_experiment, 1)
    state = start.make_state(tiny_experiment, method)
    found = [
        start.start_from(epath.Path(run), state.params, state.model_state, ("tumour",))
        for run in exported
    ]
    np.testing.assert_equal(*(jax.device_get(one[:2]) for one in found))
    assert "new:" not in found[1][2]


def test_training_in_it_is_refused(exported, tiny_overrides, capsys):
    _, out = exported
    before = sorted(out.iterdir())
    arguments = [
        "--config",
        "ki67_bde:demo_paper",
        "--workdir",
        str(out),
        *tiny_overrides,
    ]
    assert main.run(arguments) == 2
    assert f"--init-from {out}" in capsys.readouterr().err
    assert sorted(out.iterdir()) == before


def test_what_is_not_trained_is_not_exported(tmp_path, capsys):
    arguments = ["--workdir", str(tmp_path), "--output", str(tmp_path / "out")]
    assert main.run(["--mode", "export", *arguments]) == 2
    (tmp_path / "config.json").write_text('{"method": "multitask"}')
    assert main.run(["--mode", "export", *arguments]) == 2
    first, second = capsys.readouterr().err.splitlines()
    assert "no config.json; train there first" in first
    assert f"train first with --workdir {tmp_path}" in second
    assert not (tmp_path / "out").exists()


def test_a_file_is_as_the_run(
    trained, bcdata_folder, tiny_experiment, tmp_path, capsys
):
    """Within float16; with what its training images look like, and no folders."""
    run, out = tmp_path / "run", tmp_path / "tiny.safetensors"
    shutil.copytree(trained, run)
    (tmp_path / "told.json").write_text(json.dumps(shipped.TOLD))
    words = ["export", "--workdir", str(run), "--output", str(out)]
    words += ["--card", str(tmp_path / "told.json")]
    assert main.run(words) == 2
    assert "--mpp-trained" in capsys.readouterr().err
    assert main.run([*words, "--mpp-trained", "0.5"]) == 0
    found, before = (model.restore(epath.Path(one)) for one in (out, run))
    chex.assert_trees_all_close(found.params, before.params, rtol=1e-3, atol=1e-6)
    chex.assert_trees_all_equal(found.model_state, before.model_state)
    kept = ("class_names", "native_hw", "mpp", "look", "decode")
    assert all(found.meta[key] == before.meta[key] for key in kept)
    assert found.meta["mpp"] == 0.5
    card = model_file.card_of(epath.Path(out)).read_text()
    assert str(bcdata_folder.parent) not in card
    assert json.loads(card)["classes"] == {"tumour": "#00c83c"}
    known = appearance.Appearance(**found.meta[model.APPEARANCE])
    tiles = appearance.features(images.load(bcdata_folder / "images" / "0.png").pixels)
    assert not appearance.difference(known, tiles)
    method = methods.build(tiny_experiment, 1)
    state = start.make_state(tiny_experiment, method)
    merged = start.start_from(
        epath.Path(out), state.params, state.model_state, ("tumour",)
    )
    chex.assert_trees_all_equal(merged[0], found.params)
    with pytest.raises(errors.CheckpointError, match="was exported"):
        model.restore(epath.Path(out), whole=True)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"scores": {}}, "lacks scores"),
        ({"data": [{"source": "drawn"}]}, "source and licence"),
        ({"data": {"source": "drawn", "licence": "CC0"}}, "a list"),
    ],
)
def test_what_is_told_is_whole(tmp_path, change, message):
    file = epath.Path(tmp_path / "told.json")
    file.write_text(json.dumps(shipped.TOLD | change))
    with pytest.raises(errors.ConfigError, match=message):
        export.read_told(file)


def test_cards_are_of_files(tmp_path, capsys):
    words = ["export", "--workdir", str(tmp_path), "--output"]
    assert main.run([*words, str(tmp_path / "out"), "--card", "a.json"]) == 2
    assert "--card: is of one file" in capsys.readouterr().err
    assert main.run([*words, str(tmp_path / "m.safetensors")]) == 2
    assert "--card FILE.json" in capsys.readouterr().err
