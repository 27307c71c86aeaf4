"""The detector as a method: contract, masks, devices, and that it can learn."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cellrec_jax import methods
from cellrec_jax.config import OptimConfig
from cellrec_jax.data import arrays, augment, example
from cellrec_jax.data.synthetic import source as synthetic
from cellrec_jax.methods import calibrated_rcnn
from cellrec_jax.metrics import matching
from cellrec_jax.types import Decode, Progress

IMAGE = np.zeros((1, 64, 64, 3), np.float32)


def _build(model, loss, num_classes):
    fields = {"method": "calibrated_rcnn", "model": model, "loss": loss}
    return methods.build(methods.freeze(fields), num_classes)


@pytest.fixture(scope="module")
def built(tiny_model):
    """Method, weights and a compiled gradient of a two-class tiny detector."""
    method = _build(tiny_model, {}, 2)
    params, state = method.init(jax.random.key(0), IMAGE)
    grad = jax.jit(jax.value_and_grad(method.loss_fn, has_aux=True))
    return method, params, state, grad


def _call(built, batch, seed=0):
    _, params, state, grad = built
    return grad(params, state, batch, jax.random.key(seed), Progress(jnp.int32(0), 10))


def test_the_loss_is_the_sum_of_its_terms(built, tiny_batch):
    (loss, (_, metrics)), _ = _call(built, tiny_batch)
    terms = [total for name, (total, _) in metrics.items() if name.startswith("loss/")]
    assert len(terms) == 4
    np.testing.assert_allclose(loss, sum(terms), rtol=1e-6)


def test_every_part_receives_gradient(built, tiny_batch):
    (_, (_, metrics)), grads = _call(built, tiny_batch)
    assert metrics["rpn_positives"][0] > 0
    for part in ("resnet", "fpn", "rpn", "roi_head"):
        assert any(np.any(leaf) for leaf in jax.tree.leaves(grads[part]))


def test_a_score_is_that_of_its_class_and_boxes_end_at_the_image(built, tiny_batch):
    method, params, state, _ = built
    keep_all = Decode(jnp.zeros(2), jnp.zeros(()))
    found = jax.jit(method.predict)(params, state, tiny_batch, keep_all)
    probs, labels = np.asarray(found.class_probs), np.asarray(found.labels)
    picked = np.take_along_axis(probs, labels[..., None], axis=2)[..., 0]
    kept = np.asarray(found.mask)
    np.testing.assert_allclose(np.asarray(found.scores)[kept], picked[kept])
    boxes = np.asarray(found.boxes_yxyx)
    assert boxes[..., [0, 2]].max() <= 64
    assert boxes[..., [1, 3]].max() <= 96


def test_paper_setting_trains_80_tensors(tmp_path):
    """52 convolutions, 14 of the pyramid, 6 of the RPN, 8 of the second stage."""
    weights = tmp_path / "weights.npz"
    weights.touch()
    model = calibrated_rcnn.ModelOptions(pretrained=str(weights))
    method = _build(dataclasses.asdict(model), {}, 1)
    params, _ = jax.eval_shape(lambda: method.init(jax.random.key(0), IMAGE))
    assert sum(jax.tree.leaves(method.traits.trainable(params))) == 80


@pytest.mark.slow
def test_energies_are_permuted_alike_on_any_devices(
    tiny_model, tiny_batch, check_devices_agree
):
    loss = {"energy": "kernel", "energy_order": "permuted", "scope": "both"}
    method = _build(tiny_model, loss, 2)
    weights = method.init(jax.random.key(0), IMAGE)
    spreads = ((1, 1), (2, 1), (4, 1), (2, 2))
    metrics = check_devices_agree(
        method, weights, tiny_batch, rtol=1e-5, atol=1e-5, spreads=spreads
    )
    assert metrics["negative_weight"] < 0.9


@pytest.mark.slow
@pytest.mark.parametrize(
    "loss",
    [
        {"calibration": "bde"},
        {"energy": "score", "scope": "both", "warmup": 0.1},
        {"calibration": "recalibrated"},
        {"calibration": "pu", "prior": 0.01},  # no cell is without a label
    ],
    ids=lambda loss: loss.get("calibration", loss.get("energy")),
)
def test_overfits_one_image(tiny_model, loss, overfit):
    """Loss, targets, decoding and metric agree: F1 > 0.9 on the training image."""
    record = synthetic.make_image(3, 0, size_hw=(128, 160))
    spec = example.ExampleSpec(size_hw=(128, 160), max_cells=32, training=False)
    prepared = example.prepare(record, spec)
    batch = augment.prepare_eval(arrays.stack([prepared]))
    batch = batch._replace(labels=np.minimum(batch.labels, 0))
    model = {**tiny_model, "channels": 32, "rpn_channels": 32, "head_channels": 64}
    model |= {"backbone": "small", "min_level": 2, "roi_size": 5, "roi_batch": 64}
    model |= {"anchor_sizes": (32.0, 48.0, 64.0, 96.0, 128.0), "max_detections": 40}
    model |= {"pre_nms_test": 400, "post_nms_test": 200, "nms_iou": 0.4}
    model |= {"pre_nms_train": 400, "post_nms_train": 200}
    method = _build(model, loss, 1)
    config = OptimConfig(name="adamw", learning_rate=2e-3, schedule="constant")
    params, state, _ = overfit(method, batch, config, steps=150)
    decode = Decode(jnp.full(1, 0.5), jnp.zeros(()))
    found = jax.jit(method.predict)(params, state, batch, decode)
    points = np.asarray(found.points_yx[0])[np.asarray(found.mask[0])]
    truth = prepared.points_yx[prepared.points_mask]
    pairs = matching.match_points(points, truth, 8.0)
    assert 2 * len(pairs) / (len(points) + len(truth)) > 0.9


def test_trust_of_a_batch_reaches_both_stages(tiny_model, tiny_batch):
    """Where there is one, known background is counted, as in rounds."""
    method = _build(tiny_model, {}, 2)
    image = jax.ShapeDtypeStruct(tiny_batch.image.shape, np.float32)
    weights = jax.eval_shape(method.init, jax.random.key(0), image)

    def logged(batch):
        key = jax.random.key(0)
        call = functools.partial(method.loss_fn, progress=Progress(0, 10))
        _, (_, metrics) = jax.eval_shape(call, *weights, batch, key)
        return {name for name in metrics if name.endswith("known_background")}

    doubted = tiny_batch._replace(trust=np.full((4, 5), 0.5, np.float32))
    assert logged(doubted) == {"known_background", "rpn_known_background"}
    assert not logged(tiny_batch)
