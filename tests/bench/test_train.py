import jax
import pytest

from cellrec_jax import errors, methods
from cellrec_jax.bench import train
from cellrec_jax.bench.report import Settings


@pytest.mark.slow
def test_rows():
    settings = Settings(presets=("tiny",), repeats=2, steps=1)
    (row,) = train.run(settings, lambda _: None).rows
    assert row["preset"] == "tiny"
    assert row["image_px"] == "64x96"
    assert row["batch"] == jax.device_count()
    assert row["steps"] == 1 + 1 + 2 * 1  # first, warm-up, samples
    assert row["compile_s"] > 0
    assert row["step_s"] > 0
    assert row["peak_mib"] > 10
    assert row["loss_first"] > 0
    assert row["loss_last"] > 0


def test_paper_preset_is_the_methods_default():
    experiment = train.open_preset("paper").experiment
    assert experiment.options.model.backbone == "resnet50"
    assert experiment.data.size_hw == (800, 800)
    half = train.open_preset("paper_bf16").experiment
    assert half == methods.changed(experiment, {"model.dtype": "bfloat16"})


def test_other_presets_come_from_their_files():
    pytest.importorskip("ml_collections")
    setup = train.open_preset("demo")
    assert setup.experiment.options.model.backbone == "small"
    assert setup.augment.crop_hw == setup.experiment.data.crop_hw


def test_paper_is_skipped_on_a_cpu(monkeypatch):
    measured = []
    monkeypatch.setattr(
        train, "measure", lambda setup, *_: measured.append(setup) or {"x": 1}
    )
    monkeypatch.setattr(train, "open_preset", lambda name: name)
    found = train.run(Settings(), lambda _: None)
    assert measured == ["demo", "small"]
    assert "paper skipped" in found.notes[0]


def test_missing_packages_are_named(monkeypatch):
    def missing(_):
        raise ImportError(name="ml_collections")

    monkeypatch.setattr(train, "open_preset", missing)
    found = train.run(Settings(presets=("demo",)), lambda _: None)
    assert found.rows == ()
    assert found.notes == ("demo skipped: ml_collections is not installed",)


def test_unknown_preset_is_refused():
    with pytest.raises(errors.ConfigError, match="--presets papr: choose among tiny"):
        train.run(Settings(presets=("papr",)), lambda _: None)


def test_batch_is_rounded_up_to_the_devices():
    experiment = train.open_preset("tiny").experiment
    num_devices = jax.device_count()
    wanted = Settings(batch_size=num_devices + 1)
    assert train._batch_size(experiment, wanted) == 2 * num_devices
    assert train._batch_size(experiment, Settings()) == num_devices
