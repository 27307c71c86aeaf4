import time

import jax
import pytest

from cellrec_jax import errors
from cellrec_jax.bench import decoders, timing
from cellrec_jax.bench.report import Settings

pytest.importorskip("ml_collections")


def test_rows_are_set_against_one_decoder(monkeypatch):
    """Three take the time of three here; predictions are of the size asked for."""
    asked = []

    def begin(experiment, batch_size, num_classes):
        assert (batch_size, num_classes) == (2, 2)
        number = len(experiment.options.decoders)

        def advance(_):
            time.sleep(0.005 * number)
            return []

        return decoders.train_lib.Training(advance, 2, dict, str)

    def ready(experiment, size_hw, num_classes):
        assert (experiment.method, num_classes) == ("multitask", 2)
        asked.append((experiment.options.model.backbone, size_hw))
        return timing.Call(lambda: time.sleep(0.005)), {
            "parameters": 5,
            "call_mib": 7.0,
        }

    monkeypatch.setattr(decoders.train_lib, "begin", begin)
    monkeypatch.setattr(decoders.predict, "ready", ready)
    settings = Settings(batch_size=2, repeats=3, sizes_hw=((32, 48),))
    rows = decoders.run(settings, lambda _: None).rows
    assert [row["decoders"] for row in rows] == [1, 2, 3]
    assert rows[0]["step_ratio"] == rows[0]["predict_ratio"] == 1
    assert rows[2]["step_ms"] > rows[0]["step_ms"] >= 5
    assert rows[2]["step_ratio"] == rows[2]["step_ms"] / rows[0]["step_ms"]
    facts = ("crop_px", "batch", "image_px", "predict_mib")
    assert [rows[1][name] for name in facts] == ["192x192", 2, "32x48", 7.0]
    found = decoders.run(
        Settings(full=True, presets=("ours",), repeats=1), lambda _: None
    )
    assert asked == [("small", (32, 48))] * 3 + [("resnet101", (1080, 1920))]
    assert ("step_ms" in found.rows[0]) == (jax.default_backend() != "cpu")
    with pytest.raises(errors.ConfigError, match="choose among ours, dynamic, full"):
        decoders.run(Settings(presets=("main",)), lambda _: None)


@pytest.mark.slow
def test_what_predicts_is_one_decoder_whatever_teaches():
    tiny = {"model.network": "fcrn_a", "model.width": "2", "model.max_detections": "8"}
    calls = [
        decoders.predict.ready(
            decoders.experiments.load(f"cytoplasm_multitask:small_{name}", tiny),
            (32, 48),
            2,
        )
        for name in decoders.ROWS
    ]
    facts = [(call.held_bytes, columns["parameters"]) for call, columns in calls]
    assert len(set(facts)) == 1
    assert facts[0][0] > 0
