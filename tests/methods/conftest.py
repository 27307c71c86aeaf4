"""What every method is tested for."""

from collections.abc import Callable, Mapping, Sequence
import functools
from pathlib import Path
from typing import Any

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cellrec_jax.config import OptimConfig
from cellrec_jax.data import arrays, augment, example, readers
from cellrec_jax.data.example import Example
from cellrec_jax.data.synthetic import source as synthetic
from cellrec_jax.metrics import matching
from cellrec_jax.train import optim, parallel
from cellrec_jax.train import step as step_lib
from cellrec_jax.types import Batch, Decode, Method, Progress

_USUAL = {
    "xla_backend_optimization_level": 3,
    "xla_llvm_disable_expensive_passes": False,
    "xla_cpu_use_fusion_emitters": True,
}
"""Compiles for hundreds of steps as outside of tests, where each takes a third."""


def _check_devices_agree(
    method: Method,
    weights: tuple[Any, Any],
    batch: Batch,
    rtol: float = 1e-5,
    atol: float = 1e-6,
    spreads: Sequence[tuple[int, int]] = ((1, 1), (2, 1), (4, 1)),
    steps: int = 3,
    ema: float = 0.0,
) -> Mapping[str, np.ndarray]:
    """Some steps give the same on 1 x 4, 2 x 2 and 4 x 1 devices and images.

    Args:
      method: in float32; batch norms, if any, synchronised.
      weights: (params, model_state) to start from.
      batch: four images, at least 64 x 64 px, better with unequal numbers of cells.
      rtol: of all results; rounding grows in deep networks with batch norm.
      atol: likewise.
      spreads: numbers of devices, and of parts that each does one after the other.
      steps: fewer where rounding grows from one to the next.
      ema: decay of averaged weights; 0 is none.

    Returns:
      The metrics of the last step.
    """
    params, model_state = weights
    tx = optim.make_optimizer(OptimConfig(), 10, method.traits.trainable)
    options = augment.AugmentOptions(crop_hw=(64, 64), turn=True)
    results = []
    for number, parts in spreads:
        devices = jax.devices()[:number]
        step = step_lib.make_step(
            method,
            tx,
            lambda b, r: augment.augment(b, r, options),
            total_steps=10,
            ema=ema,
            accumulate=parts,
        )
        pmapped = parallel.pmap_step(step, devices)
        state = step_lib.init_state(tx, params, model_state, ema=ema)
        state, key = parallel.place((state, jax.random.key(0)), devices)
        split = parallel.shard(jax.device_put(batch), devices)
        state, metrics = pmapped(state, split, key)  # compiles
        with jax.transfer_guard_host_to_device("disallow"):
            for _ in range(steps - 1):
                state, metrics = pmapped(state, split, key)
        means = {name: total / count for name, (total, count) in metrics.items()}
        results.append(jax.device_get((state.params, state.model_state, means)))
    for other in results[1:]:
        chex.assert_trees_all_close(results[0], other, rtol=rtol, atol=atol)
    return results[0][2]


@pytest.fixture
def check_devices_agree() -> Callable[..., Mapping[str, np.ndarray]]:
    return _check_devices_agree


def _overfit(
    method: Method, batch: Batch, config: OptimConfig, steps: int
) -> tuple[Any, Any, Mapping[str, Any]]:
    """Weights, state and metrics of the last of some steps on one batch."""
    params, state = method.init(jax.random.key(0), batch.image)
    tx = optim.make_optimizer(config, steps, method.traits.trainable)
    opt_state = tx.init(params)

    @functools.partial(jax.jit, donate_argnums=(0, 1), compiler_options=_USUAL)
    def step(params, opt_state, i):
        rng = jax.random.fold_in(jax.random.key(1), i)
        grad = jax.grad(method.loss_fn, has_aux=True)
        progress = Progress(i, steps)
        grads, (_, metrics) = grad(params, state, batch, rng, progress)
        updates, opt_state = tx.update(grads, opt_state, params)
        return jax.tree.map(jnp.add, params, updates), opt_state, metrics

    for i in range(steps):
        params, opt_state, metrics = step(params, opt_state, i)
    return params, state, metrics


@pytest.fixture
def overfit() -> Callable[..., tuple[Any, Any, Mapping[str, Any]]]:
    return _overfit


@pytest.fixture(scope="session")
def one_image() -> tuple[Example, Batch]:
    """A generated image of 128 x 160 px with 7 cells of 2 classes, alone in a batch."""
    record = synthetic.make_image(7, 0, size_hw=(128, 160))
    spec = example.ExampleSpec(size_hw=(128, 160), max_cells=32, training=False)
    prepared = example.prepare(record, spec)
    return prepared, augment.prepare_eval(arrays.stack([prepared]))


@pytest.fixture(scope="session")
def real_image(real_data: Path) -> Batch:
    """Ki-67, 384 x 384 px, 13 positive and 39 negative cells, alone in a batch."""
    folder = real_data / "A_bcdata26"
    if not folder.is_dir():
        pytest.skip("no A_bcdata26 among the real images")
    source = readers.open_source(folder, "bcdata")
    record = source.load(source.image_ids[0])
    spec = example.ExampleSpec(size_hw=(640, 640), max_cells=256, training=False)
    whole = arrays.stack([example.prepare(record, spec)])
    corner = augment.Pose(np.array([256, 256]), np.zeros(2, bool))
    crop = functools.partial(augment.apply_pose, pose=corner, crop_hw=(384, 384))
    return augment.prepare_eval(jax.vmap(crop)(whole))


def _f1_on(
    method: Method, weights: tuple[Any, Any], batch: Batch, decode: Decode
) -> float:
    """F1 of cells with their class within 12 px, of a batch of one image."""
    found = jax.jit(method.predict)(*weights, batch, decode)
    kept, real = np.asarray(found.mask[0]), np.asarray(batch.points_mask[0])
    points, labels = np.asarray(found.points_yx[0])[kept], found.labels[0][kept]
    truth, classes = np.asarray(batch.points_yx[0])[real], batch.labels[0][real]
    matched = sum(
        len(matching.match_points(points[labels == k], truth[classes == k], 12.0))
        for k in range(len(decode.thresholds))
    )
    return 2 * matched / (len(points) + len(truth))


@pytest.fixture
def f1_on() -> Callable[..., float]:
    return _f1_on
