"""Patches as rounds and the model read them: orientations, and that both agree."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cellrec_jax import methods
from cellrec_jax.data import arrays, sets
from cellrec_jax.data.example import ExampleSpec
from cellrec_jax.methods import patch_reader
from cellrec_jax.methods.heatmap_pu import method as heatmap_pu
from cellrec_jax.methods.refine_options import RefineOptions
from cellrec_jax.rounds import patch_classifier
from cellrec_jax.rounds import patches as round_patches
from cellrec_jax.rounds.candidates import Candidates
from cellrec_jax.types import Decode

SIZE_HW = (64, 80)
MODEL = {"width": 2, "window_px": 3, "max_detections": 40, "classifier": "small"}
WIDE = {"patch_border": "reflect", "patch_values": "standard", "turns": True}
KEEP_ALL = Decode(jnp.zeros(1), jnp.zeros(()))


def test_the_eight_orientations():
    """Each once, by NumPy's own turns and flips; the first is the patch itself."""
    patch = np.arange(18, dtype=np.float32).reshape(1, 3, 3, 2)
    eight = np.repeat(patch, 8, axis=0)
    found = np.asarray(patch_reader.turn(jnp.asarray(eight), jnp.arange(8)))
    np.testing.assert_array_equal(found[0], patch[0])
    np.testing.assert_array_equal(found[1], np.flipud(patch[0]))
    np.testing.assert_array_equal(found[2], np.fliplr(patch[0]))
    np.testing.assert_array_equal(found[4], patch[0].swapaxes(0, 1))
    turned = [np.rot90(p, k) for p in (patch[0], np.flipud(patch[0])) for k in range(4)]
    assert {p.tobytes() for p in found} == {p.tobytes() for p in turned}
    assert len({p.tobytes() for p in found}) == 8


def test_colors_are_shares_of_the_highest_of_all():
    """The mean of the channels, over its own highest value, is grey."""
    image = jnp.array([[[0.2, 0.4, 0.6], [0.1, 0.2, 0.0]]])
    seen = patch_reader.measure(image, RefineOptions(patch_colors="all"))
    np.testing.assert_allclose(seen, np.asarray(image) / 0.6, rtol=1e-6)
    grey = patch_reader.measure(image, RefineOptions())
    np.testing.assert_allclose(grey, [[[1.0], [0.25]]], rtol=1e-6)
    blank = patch_reader.measure(0 * image, RefineOptions(patch_colors="all"))
    np.testing.assert_array_equal(blank, np.zeros((1, 2, 3)))


@pytest.mark.parametrize(
    ("patch_px", "refine"),
    [
        (13, {}),
        (26, {"patch_step": 2, **WIDE}),
        pytest.param(26, {"patch_step": 2}, marks=pytest.mark.slow),
        pytest.param(13, {"turns": True}, marks=pytest.mark.slow),
    ],
)
def test_the_model_decides_as_rounds_score(monkeypatch, rng, patch_px, refine):
    """Its peaks are those whose patch, as rounds read it, has a score above 0."""
    image = rng.integers(0, 120, (*SIZE_HW, 1)).astype(np.uint8)
    heights = jnp.asarray(rng.uniform(size=(1, *SIZE_HW)), jnp.float32)
    monkeypatch.setattr(heatmap_pu, "_heights", lambda *_: heights)
    model = {**MODEL, "patch_px": patch_px}
    experiment = methods.freeze(
        {"method": "heatmap_pu", "model": model, "refine": refine}
    )
    method = methods.build(experiment, 1)
    params, state = method.init(jax.random.key(0), jnp.zeros((1, *SIZE_HW, 3)))
    eval_set = _eval_set(image)
    (batch,) = arrays.eval_batches(eval_set.images, 1)
    batch = batch._replace(image=jnp.asarray(batch.image, jnp.float32) / 255)
    peaks = method.traits.candidates(params, state, batch, KEEP_ALL)
    number = int(peaks.mask.sum())
    points_yx = np.asarray(peaks.points_yx[0])[:number]
    found = Candidates(np.zeros(number, np.int32), points_yx, np.ones(number))
    judging = experiment.options.judging
    patches = round_patches.cut(found, eval_set, judging)
    scores, _ = patch_classifier.extract(params["classifier"], patches, judging)
    middle = float(np.median(scores))
    *_, last = params["classifier"]
    params["classifier"][last]["bias"] -= middle  # as many cells as background
    kept = method.predict(params, state, batch, KEEP_ALL).mask[0, :number]
    sure = np.abs(np.asarray(scores) - middle) > 1e-5
    assert sure.sum() >= 10
    wanted = np.asarray(scores) > middle
    np.testing.assert_array_equal(np.asarray(kept)[sure], wanted[sure])


def _eval_set(image) -> sets.EvalSet:
    source = arrays.from_arrays([image], [np.array([[10.0, 10.0]], np.float32)])
    spec = ExampleSpec(size_hw=SIZE_HW, max_cells=8, training=False)
    found = sets.load_eval(sets.Split(source, source.image_ids, spec))
    assert found is not None
    return found
