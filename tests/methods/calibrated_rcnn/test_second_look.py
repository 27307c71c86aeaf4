"""Second looks as part of the method: frames, gradients, masks, devices, learning."""

import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cellrec_jax import errors, methods
from cellrec_jax.config import OptimConfig
from cellrec_jax.methods.calibrated_rcnn import mining, second_look
from cellrec_jax.types import Decode, Detections, Progress

LOW = {"mining_rule": "score", "mining_at": 0.05, "mining_burn_in": 0.5}
"""Takes all that networks without training find, from the middle of training on."""
MININGS = ("co_mining", "pseudo_positive", "teacher")
EACH = (
    "teacher",
    *(pytest.param(name, marks=pytest.mark.slow) for name in MININGS[:2]),
)


def _build(model, loss, num_classes=2):
    fields = {"method": "calibrated_rcnn", "model": model, "loss": loss}
    return methods.build(methods.freeze(fields), num_classes)


@functools.cache
def _compiled(mining_name, **loss):
    model = {**_compiled.model, "max_detections": 12}
    method = _build(model, {"mining": mining_name, **loss})
    params, state = method.init(jax.random.key(0), jnp.zeros((1, 64, 64, 3)))
    call = jax.jit(jax.value_and_grad(method.loss_fn, has_aux=True))
    return params, state, call


@pytest.fixture
def losses(tiny_model, tiny_batch):
    """(mining, step of ten, batch) -> loss, state, metrics and gradients."""
    _compiled.model = tiny_model

    def of(mining_name, step, batch=tiny_batch, state=None, **loss):
        params, fresh, call = _compiled(mining_name, **loss)
        teacher = (params, fresh) if mining_name == "teacher" else None
        (value, (state, metrics)), grads = call(
            params,
            state or fresh,
            batch,
            jax.random.key(0),
            Progress(jnp.int32(step), 10),
            averaged=teacher,
        )
        return value, state, metrics, grads

    return of


def _mean(metrics, name):
    total, count = metrics[name]
    return float(total) / float(count)


@pytest.mark.parametrize("name", EACH)
def test_burn_in_is_training_without_mining(losses, name):
    plain, _, _, grads = losses("none", 4)
    value, state, metrics, mined_grads = losses(name, 4, **LOW)
    np.testing.assert_allclose(value, plain, rtol=1e-6)
    chex.assert_trees_all_close(mined_grads, grads, rtol=1e-4, atol=1e-7)
    assert metrics["mining"] == (0, 1)
    assert metrics["pseudo_boxes"] == (0, 0)
    assert not state["mining"]["counts"].any()


@pytest.mark.parametrize("name", EACH)
def test_after_burn_in_boxes_are_mined_and_counted(losses, name, tiny_batch):
    plain, _, before, _ = losses("none", 5)
    value, state, metrics, _ = losses(name, 5, **LOW)
    assert value != plain
    assert metrics["mining"] == (1, 1)
    assert _mean(metrics, "pseudo_threshold") == pytest.approx(0.05)
    assert _mean(metrics, "pseudo_boxes") > 1
    assert _mean(metrics, "pseudo_score") >= 0.05
    assert 0 <= _mean(metrics, "pseudo_recall") <= 1
    counts = np.asarray(state["mining"]["counts"]) / 0.05
    cells_an_image = tiny_batch.points_mask.sum() / len(tiny_batch.points_mask)
    assert counts[mining.CELLS].sum() == pytest.approx(cells_an_image)
    more = _mean(metrics, "rpn_positives") - _mean(before, "rpn_positives")
    assert (more > 0) == (name != "pseudo_positive")


@pytest.mark.slow
@pytest.mark.parametrize("name", MININGS)
def test_nothing_is_taken_before_a_threshold_is_known(losses, name):
    loss = {"mining_burn_in": 0.0, "mining_at": 0.5}
    _, state, metrics, _ = losses(name, 0, **loss)
    assert _mean(metrics, "pseudo_threshold") == 1
    assert _mean(metrics, "pseudo_boxes") == 0
    _, _, metrics, _ = losses(name, 1, state=state, **loss)
    recall = np.asarray(state["mining"]["counts"][mining.CELLS])
    if recall[1:].sum() >= recall.sum() / 2:  # so many are found at any score
        assert _mean(metrics, "pseudo_threshold") < 1


@pytest.mark.slow
def test_no_gradient_reaches_the_teacher(tiny_model, tiny_batch):
    method = _build(tiny_model, {"mining": "teacher", **LOW})
    params, state = method.init(jax.random.key(0), jnp.zeros((1, 64, 64, 3)))

    def of_teacher(teacher):
        averaged = teacher, state
        rest = tiny_batch, jax.random.key(0), Progress(jnp.int32(5), 10)
        loss, (_, metrics) = method.loss_fn(params, state, *rest, averaged=averaged)
        return loss, metrics

    grads, metrics = jax.jit(jax.grad(of_teacher, has_aux=True))(params)
    assert metrics["pseudo_boxes"][0] > 0
    assert not any(np.any(leaf) for leaf in jax.tree.leaves(grads))


def test_a_teacher_asks_for_averaged_weights(tiny_model, tiny_batch):
    method = _build(tiny_model, {"mining": "teacher"})
    params, state = jax.eval_shape(
        method.init, jax.random.key(0), jnp.zeros((1, 64, 64, 3))
    )
    progress = Progress(jnp.int32(0), 10)
    with pytest.raises(errors.ConfigError, match=r"optim\.ema=0\.99"):
        jax.eval_shape(
            method.loss_fn, params, state, tiny_batch, jax.random.key(0), progress
        )


@pytest.mark.parametrize("name", EACH)
def test_padding_changes_nothing(losses, name, tiny_batch):
    """Padded cells, and filler images with cells."""
    filler = tiny_batch._replace(image_mask=np.array([True, False, True, True]))
    mask = filler.points_mask & filler.image_mask[:, None]
    dirty = filler._replace(
        image=np.where(filler.image_mask[:, None, None, None], filler.image, 0.7),
        boxes_yxyx=np.where(mask[..., None], filler.boxes_yxyx, np.float32(33)),
        labels=np.where(mask, filler.labels, 1),
    )
    clean = losses(name, 5, filler, **LOW)
    chex.assert_trees_all_close(clean, losses(name, 5, dirty, **LOW), rtol=1e-5)
    assert clean[2]["pseudo_boxes"][1] == 3


def test_detections_on_the_flipped_image_are_in_its_own_frame(tiny_batch):
    """A detector of the brightest pixel finds it where it is."""
    image = np.zeros((4, 64, 96, 3), np.float32)
    image[:, 20, 70] = 1.0
    batch = tiny_batch._replace(image=image)

    def predict(params, model_state, seen, decode):
        del params, model_state, decode
        place = jnp.argmax(seen.image[..., 0].reshape(4, -1), axis=1)
        points = jnp.stack([place // 96, place % 96], axis=1)[:, None, :] + 0.5
        half = jnp.array([[-3.0, -5.0, 3.0, 5.0]])
        boxes = points[..., jnp.array([0, 1, 0, 1])] + half[:, None, :]
        ones = jnp.ones((4, 1))
        labels, mask = jnp.zeros((4, 1), jnp.int32), jnp.ones((4, 1), bool)
        return Detections(points, ones, labels, ones[..., None], mask, boxes)

    weights = {}, {}
    sure = jnp.array(True)
    found = second_look.detections(predict, weights, batch, 1, sure)
    assert found.boxes_yxyx.tolist() == [[[17.5, 65.5, 23.5, 75.5]]] * 4


@pytest.mark.slow
def test_devices_and_parts_agree(tiny_model, tiny_batch, check_devices_agree):
    """Counts of scores too, on 1 and 2 devices and in parts."""
    loss = {"mining": "teacher", **LOW, "mining_burn_in": 0.1}
    method = _build(tiny_model, loss)
    weights = method.init(jax.random.key(0), jnp.zeros((1, 64, 64, 3)))
    batch = tiny_batch._replace(image_mask=np.array([True, True, False, True]))
    metrics = check_devices_agree(
        method,
        weights,
        batch,
        atol=1e-5,
        spreads=((1, 1), (2, 1), (1, 2)),
        ema=0.9,
    )
    assert metrics["mining"] == 1
    assert metrics["pseudo_boxes"] > 0


@pytest.mark.slow
@pytest.mark.parametrize("name", ["teacher", "pseudo_positive"])
def test_overfits_one_image(tiny_model, name, one_image, overfit, f1_on):
    """Cells that are annotated are found, with what is mined beside them.

    Both views alike asks for images that are trained flipped, too: not here.
    """
    _, batch = one_image
    batch = batch._replace(labels=np.minimum(batch.labels, 0))
    model = {**tiny_model, "channels": 32, "rpn_channels": 32, "head_channels": 64}
    model |= {"backbone": "small", "min_level": 2, "roi_size": 5, "roi_batch": 64}
    model |= {"anchor_sizes": (32.0, 48.0, 64.0, 96.0, 128.0), "max_detections": 40}
    model |= {"pre_nms_test": 400, "post_nms_test": 200, "nms_iou": 0.4}
    model |= {"pre_nms_train": 400, "post_nms_train": 200}
    loss = {"mining": name, "mining_rule": "score"}
    loss |= {"mining_consistency": 0.0} if name == "pseudo_positive" else {}
    method = _build(model, loss, 1)
    own = method
    if name == "teacher":

        def taught(params, state, *rest):
            return method.loss_fn(params, state, *rest, averaged=(params, state))

        own = method._replace(loss_fn=taught)
    config = OptimConfig(name="adamw", learning_rate=2e-3, schedule="constant")
    params, state, metrics = overfit(own, batch, config, steps=220)
    assert metrics["mining"] == (1, 1)
    decode = Decode(jnp.full(1, 0.5), jnp.zeros(()))
    # A teacher that is its own pupil may keep one doubtful box of eight cells.
    least = 0.85 if name == "teacher" else 0.9
    assert f1_on(method, (params, state), batch, decode) > least
