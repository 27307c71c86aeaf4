import pytest

from cellrec_jax.bench import data
from cellrec_jax.bench.report import Settings
from cellrec_jax.data import augment

SETTINGS = Settings(sizes=(40,), repeats=2, steps=2, batch_size=3)

WITHOUT_TENSORFLOW = ["prepare", "take", "take + augment", "take + crop + augment"]


@pytest.fixture(autouse=True)
def small_images(monkeypatch):
    monkeypatch.setattr(data, "_NATIVE_HW", (48, 64))
    # Compiles faster than with turns and stains.
    monkeypatch.setattr(data, "_OPTIONS", augment.AugmentOptions())


def _check(rows):
    for row in rows:
        assert (row["size_px"], row["batch"]) == (40, 3)
        assert row["images_per_s"] > 0
        assert row["batch_ms"] > 0


def test_rows_without_tensorflow(monkeypatch):
    monkeypatch.setattr(data, "_has_tensorflow", lambda: False)
    found = data.run(SETTINGS, lambda _: None)
    assert [row["way"] for row in found.rows] == WITHOUT_TENSORFLOW
    _check(found.rows)
    assert found.notes == ("tf.data skipped: TensorFlow is not installed",)


@pytest.mark.slow
def test_rows_with_tensorflow():
    pytest.importorskip("tensorflow")
    found = data.run(SETTINGS, lambda _: None)
    shards = [f"shards, {way}" for way in ("png", "jpeg", "raw", "raw, resized")]
    assert [row["way"] for row in found.rows][4:] == [
        "tf.data",
        "tf.data, cached",
        *shards,
    ]
    _check(found.rows)
    assert not found.notes
