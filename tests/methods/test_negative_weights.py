"""What a calibration does where labels are sparse and every place is scored low.

With few labels hardly anything is scored above 0.5 after some steps; a weight that asks
for that is 1 throughout, and does nothing.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from cellrec_jax import methods
from cellrec_jax.types import Progress

STEPS = 3


class Case(NamedTuple):
    """A method with a loss that weighs what has no label."""

    method: str
    loss: dict[str, Any]
    acts: bool = True


def _point(**loss):
    return Case("point_matching", {"calibration": "bde", **loss})


def _box(**loss):
    return Case("calibrated_rcnn", loss)


def _map(form, **loss):
    return Case("heatmap_pu", {"form": form, "sigma_px": 2.0, "radius_px": 4.0, **loss})


CASES = {
    "points": _point(),
    "best_points": _point(doubtful="top"),
    "sure_points": _point(doubtful="confident")._replace(acts=False),
    "constant_points": _point(calibration="constant"),
    "map": _map("bde"),
    "best_peaks": _map("bde", doubtful="top"),
    "sure_peaks": _map("bde", doubtful="confident")._replace(acts=False),
    "recalibrated": _map("recalibrated"),
    "best_pixels": _map("recalibrated", doubtful="top"),
    "sure_pixels": _map("recalibrated", doubtful="confident")._replace(acts=False),
    "constant_map": _map("constant"),
    "boxes": _box(calibration="bde"),
    "constant_boxes": _box(calibration="constant"),
    "kernel_boxes": _box(energy="kernel", energy_order="inverse"),
    "scored_boxes": _box(energy="score", energy_order="permuted"),
    "soft_boxes": _box(calibration="soft_sampling"),
    "near_boxes": _box(calibration="soft_sampling", soft_by="distance"),
    "recalibrated_boxes": _box(calibration="recalibrated"),
}
FAST = ("points", "map")


def _marks(name):
    return [] if name in FAST else [pytest.mark.slow]


MODELS = {
    "point_matching": {"encoder": "tiny", "channels": 4, "max_detections": 24},
    "heatmap_pu": {"width": 2, "window_px": 3, "patch_px": 13, "norm": "group"},
}


def _unsure(params, method):
    """Weights whose scores are 0.02 to 0.2, and differ from place to place."""
    if method == "point_matching":
        output = params["objectness"]["output"]
        bias = np.zeros(output["bias"].shape, np.float32).reshape(-1, 2)
        bias[:, 0] = np.log(0.06 / 0.94)  # (object, background)
        kernel = 2.0 * output["kernel"]
        output |= {"bias": jnp.asarray(bias.reshape(-1)), "kernel": kernel}
    elif method == "heatmap_pu":
        output = params["detector"]["output"]
        kernel = 0.02 * output["kernel"]
        output |= {"bias": jnp.full(output["bias"].shape, 0.1), "kernel": kernel}
    return params


@pytest.mark.parametrize(
    "name",
    [pytest.param(n, marks=_marks(n)) for n in CASES],
)
def test_negatives_of_sparse_training_weigh_less_than_one(name, tiny_batch, tiny_model):
    case = CASES[name]
    model = MODELS.get(case.method, tiny_model)
    sections = {"method": case.method, "model": model, "loss": case.loss}
    method = methods.build(methods.freeze(sections), 1)
    batch = tiny_batch._replace(labels=np.minimum(tiny_batch.labels, 0))
    params, state = method.init(jax.random.key(0), batch.image)
    params, optimizer = _unsure(params, case.method), optax.sgd(1e-3)

    @jax.jit
    def step(params, state, opt_state, number):
        grad = jax.grad(method.loss_fn, has_aux=True)
        progress = Progress(number, STEPS)
        grads, (state, metrics) = grad(
            params, state, batch, jax.random.key(1), progress
        )
        updates, opt_state = optimizer.update(grads, opt_state)
        return optax.apply_updates(params, updates), state, opt_state, metrics

    opt_state = optimizer.init(params)
    for number in range(STEPS):
        params, state, opt_state, metrics = step(params, state, opt_state, number)
        if case.method == "point_matching":
            assert metrics["predicted"][0] == 0
        elif case.method == "heatmap_pu":
            assert 0 < metrics["highest"][0] / metrics["highest"][1] < 0.5
        total, count = metrics["negative_weight"]
        assert count > 0
        assert (0 < total / count < 0.99) if case.acts else (total == count)
        if "constant" in case.loss.values():
            np.testing.assert_allclose(total / count, 0.4, rtol=1e-4)
