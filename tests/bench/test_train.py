import jax
import pytest

from cellrec_jax import errors
from cellrec_jax.bench import experiments, train
from cellrec_jax.bench.report import Settings

pytest.importorskip("ml_collections")


@pytest.mark.slow
def test_rows():
    settings = Settings(presets=("tiny",), repeats=2, steps=1)
    (row,) = train.run(settings, lambda _: None).rows
    assert row["image_px"] == "64x96"
    assert row["batch"] == jax.device_count()
    assert row["steps"] == 1 + 1 + 2 * 1  # first, warm-up, samples
    assert row["compile_s"] > 0
    assert row["step_s"] > 0
    assert row["peak_mib"] > 10
    assert row["loss_first"] > 0
    assert row["loss_last"] > 0


def test_paper_is_skipped_on_a_cpu(monkeypatch):
    measured = []
    monkeypatch.setattr(
        train, "_measure", lambda name, *_: measured.append(name) or {"x": 1}
    )
    train.run(Settings(), lambda _: None)
    assert measured == ["demo", "small"]


def test_presets():
    found = {name: experiments.load(*train.PRESETS[name]) for name in train.PRESETS}
    sizes = {name: one.data.size_hw for name, one in found.items()}
    assert (sizes["tiny"], sizes["paper"]) == ((64, 96), (800, 800))
    assert (found["paper"].data.max_cells, found["paper"].data.keep_rate) == (256, 1)
    with pytest.raises(errors.ConfigError, match="--presets papr: choose among tiny"):
        train.run(Settings(presets=("papr",)), lambda _: None)
