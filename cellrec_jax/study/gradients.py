"""Gradients of the test loss, layer by layer: section 5 of the BDE paper.

Li et al., A Robust Training Method for Pathological Cellular Detector via Spatial Loss
Calibration, 2021, Eq. 14 to 16 and Fig. 8: the method with the least gradient of a
layer is taken to have trained it best.
"""

from collections.abc import Callable, Mapping, Sequence
import dataclasses
import functools
import itertools
from typing import Any

from etils import epath
import jax
import jax.numpy as jnp
import numpy as np

from cellrec_jax import errors, methods
from cellrec_jax.config import Experiment
from cellrec_jax.data import arrays, augment, sets
from cellrec_jax.methods import calibrated_rcnn
from cellrec_jax.methods.calibrated_rcnn import layers
from cellrec_jax.study import complete
from cellrec_jax.types import Batch, Method, Progress
from cellrec_jax.workdir import model as model_lib

COLUMNS = ("label", "keep_rate", "run", "number", "layer", "gradient")
"""Of `measure`: `number` counts layers from 1 in the order of the forward pass."""
LOSSES = ("plain", "own")
TIE = -1


def measure(
    label: str,
    workdir: str,
    *,
    loss: str = "plain",
    num_images: int = 0,
    chunk: int = 1,
) -> list[dict[str, Any]]:
    """Rows of a run, one a layer, with its mean absolute gradient (mu_l, Eq. 14).

    Of the (first) test images with all their annotations, `chunk` at a time. The loss
    is that of training: `plain`, whatever the run trained with, since calibrated ones
    are smaller by their weights alone; or the run's `own`. The same anchors and boxes
    are drawn for all runs. ConfigError for runs of another method, or without images.
    """
    model = model_lib.restore(epath.Path(workdir).expanduser())
    experiment = _with_loss(model.experiment, workdir, loss)
    data = experiment.data
    split = sets.open_for_evaluation(data, experiment.seed, whole=False)
    split = split._replace(image_ids=split.image_ids[: num_images or None])
    images = complete.load(split).images
    method = methods.build(experiment, len(model.class_names))
    names = _names(method, model.params)
    of_chunk = _program(method, names, experiment.total_steps)
    found = [
        np.asarray(of_chunk(model.params, model.model_state, batch, model.step))[
            batch.image_mask
        ]
        for batch in arrays.eval_batches(images, chunk)
    ]
    means = np.concatenate(found).mean(axis=0, dtype=np.float64)
    facts = {"label": label, "keep_rate": data.keep_rate, "run": workdir}
    return [
        facts | {"number": number, "layer": name, "gradient": float(mean)}
        for number, (name, mean) in enumerate(zip(names, means, strict=True), 1)
    ]


def layer_means(
    loss: Callable[[Any], jax.Array], params: Any, names: Sequence[str]
) -> jax.Array:
    """Mean absolute gradient of each tensor named, f32 [L], of one image's loss.

    Li et al. 2021, Eq. 14 and 15: all kernels of a layer are of one size, so that the
    mean of their means is that of its elements; nor does it matter whether the mean
    over images (Eq. 16) is taken first, as there, or last.
    """
    gradients = layers.named(jax.grad(loss)(params))
    return jnp.stack([jnp.mean(jnp.abs(gradients[name])) for name in names])


def winners(gradients: np.ndarray) -> np.ndarray:
    """Which of M methods has the least gradient [M, L]: int [L], `TIE` if several have.

    Example:
      >>> winners(np.array([[1.0, 2.0, 3.0], [2.0, 1.0, 3.0]])).tolist()
      [0, 1, -1]
    """
    least = gradients == gradients.min(axis=0, keepdims=True)
    return np.where(least.sum(axis=0) > 1, TIE, least.argmax(axis=0))


def middle(number: int) -> slice:
    """The middle half of so many layers: 20 to 60 of 80.

    Example:
      >>> middle(80), middle(6)
      (slice(20, 60, None), slice(1, 5, None))
    """
    return slice(number // 4, number - number // 4)


def compare(rows: Sequence[Mapping[str, Any]]) -> dict[float, dict[str, np.ndarray]]:
    """Keep rate, rising -> label -> gradients f64 [L], the mean of its runs.

    Rows as of `measure`, or as text. ConfigError for runs with other layers, or where a
    label lacks a rate: there the others would win unseen.
    """
    runs: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for row in rows:
        runs.setdefault((row["label"], row["run"]), []).append(row)
    wanted = layer_names(rows)
    found: dict[tuple[float, str], list[np.ndarray]] = {}
    for (label, run), own in runs.items():
        if [row["layer"] for row in own] != wanted:
            raise errors.ConfigError(
                f"{run}: has other layers than {rows[0]['run']}; compare networks of "
                "one architecture"
            )
        values = np.array([float(row["gradient"]) for row in own])
        found.setdefault((float(own[0]["keep_rate"]), label), []).append(values)
    rates = sorted({rate for rate, _ in found})
    labels = list(dict.fromkeys(label for label, _ in runs))
    for rate, label in itertools.product(rates, labels):
        if (rate, label) not in found:
            raise errors.ConfigError(
                f"{label}: has no run of keep rate {rate:g}, as others have; give all "
                "labels runs of the same rates"
            )
    return {
        rate: {label: np.mean(found[rate, label], axis=0) for label in labels}
        for rate in rates
    }


def layer_names(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Of the first run, in the order of the forward pass."""
    first = rows[0]["label"], rows[0]["run"]
    return [row["layer"] for row in rows if (row["label"], row["run"]) == first]


SHARE_COLUMNS = ("keep_rate", "label", "all", "middle", "rest", "ratio", "middle_ratio")
"""Of `shares`."""


def shares(
    compared: Mapping[float, Mapping[str, np.ndarray]],
) -> list[dict[str, Any]]:
    """Rows, a keep rate and label each, then of all rates together.

    The share of layers that a label wins: of `all`, the `middle` half and the `rest`;
    and the geometric mean of its gradients over the first label's, `ratio`, also of the
    middle half, since a win may be by little. None where a gradient is 0.
    """
    tables = {f"{rate:g}": list(one.values()) for rate, one in compared.items()}
    labels = list(next(iter(compared.values())))
    tables["all"] = [np.concatenate(own) for own in zip(*tables.values(), strict=True)]
    number = len(tables["all"][0]) // len(compared)
    inner = np.zeros(number, bool)
    inner[middle(number)] = True
    rows = []
    for rate, values in tables.items():
        won = winners(np.stack(values))
        here = np.tile(inner, len(won) // number)
        for index, label in enumerate(labels):
            mine = won == index
            rows.append(
                {
                    "keep_rate": rate,
                    "label": label,
                    "all": float(mine.mean()),
                    "middle": _mean(mine[here]),
                    "rest": _mean(mine[~here]),
                    "ratio": _ratio(values[index], values[0]),
                    "middle_ratio": _ratio(values[index][here], values[0][here]),
                }
            )
    return rows


def _mean(values: np.ndarray) -> float | None:
    return float(values.mean()) if len(values) else None


def _ratio(values: np.ndarray, first: np.ndarray) -> float | None:
    """Geometric mean of quotients."""
    if not len(values) or not (values > 0).all() or not (first > 0).all():
        return None
    return float(np.exp(np.mean(np.log(values / first))))


def _with_loss(experiment: Experiment, workdir: str, loss: str) -> Experiment:
    if experiment.method != "calibrated_rcnn":
        raise errors.ConfigError(
            f"{workdir}: is of {experiment.method}; give work directories of "
            "calibrated_rcnn"
        )
    if loss == "own":
        return experiment
    own = experiment.options.loss
    plain = calibrated_rcnn.LossOptions(
        calibration="plain", rpn_sigma=own.rpn_sigma, roi_sigma=own.roi_sigma
    )
    options = dataclasses.replace(experiment.options, loss=plain)
    return dataclasses.replace(experiment, options=options)


def _names(method: Method, params: Any) -> tuple[str, ...]:
    assert method.traits.trainable is not None  # of this detector, for mypy
    return layers.names(params, method.traits.trainable(params))


@functools.lru_cache(maxsize=4)
def _program(method: Method, names: tuple[str, ...], total_steps: int) -> Any:
    """(parameters, state, batch of evaluation, step) -> f32 [B, L]; compiled once."""

    def of_chunk(params: Any, state: Any, batch: Batch, step: Any) -> jax.Array:
        def of_image(example: Batch) -> jax.Array:
            alone = jax.tree.map(lambda array: array[None], example)
            rng = jax.random.key(0)  # folded with the image's place in the set

            def loss(params: Any) -> jax.Array:
                progress = Progress(step, total_steps)
                return method.loss_fn(params, state, alone, rng, progress)[0]

            return layer_means(loss, params, names)

        return jax.vmap(of_image)(augment.prepare_eval(batch))

    return jax.jit(of_chunk)
