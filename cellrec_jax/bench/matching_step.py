"""What matching adds to a training step: the time that nothing else hides.

A small convolutional network's outputs are matched with cells and give the losses of
point annotation. "none" is told the pairs.
"""

from collections.abc import Iterator, Sequence
import itertools
import math
from typing import Any

import jax
import numpy as np

from cellrec_jax.bench import draws
from cellrec_jax.bench.report import Row
from cellrec_jax.losses import matched
from cellrec_jax.ops import matching

ANCHORS = 4  # in a feature cell
_CHANNELS = 32
_OUTPUTS = 2 + 2 + draws.NUM_CLASSES  # offsets, objectness, classes
_WIDTHS = (3, _CHANNELS, _CHANNELS, _CHANNELS, ANCHORS * _OUTPUTS)

Params = list[jax.Array]


def grid(num_cells: int) -> tuple[int, int]:
    """Height and width whose product this is, as equal as can be."""
    height = max(h for h in range(1, math.isqrt(num_cells) + 1) if num_cells % h == 0)
    return height, num_cells // height


def flops(pixels: int) -> float:
    """Operations of a step: forward, and twice that back."""
    return 6.0 * pixels * sum(9 * i * o for i, o in itertools.pairwise(_WIDTHS))


def inputs(num_proposals: int, num_cells: int, batch: int) -> tuple[Any, ...]:
    """Weights, features, anchors, the cells, and the pairs of them."""
    anchors_yx, _, _, *cells = draws.scene(1, num_proposals, num_cells, batch)
    rng = np.random.default_rng(2)
    params = [
        (rng.normal(size=(3, 3, i, o)) * (2 / 9 / i) ** 0.5).astype(np.float32)
        for i, o in itertools.pairwise(_WIDTHS)
    ]
    shape = (batch, *grid(num_proposals // ANCHORS), 3)
    features = rng.normal(size=shape).astype(np.float32)
    heads = jax.jit(_heads)(params, features, anchors_yx)
    found = _match(*heads, *map(jax.numpy.asarray, cells), backend="device")
    return params, features, anchors_yx, *cells, found


def loss(
    params: Params,
    features: jax.Array,
    anchors_yx: jax.Array,
    true_yx: jax.Array,
    labels: jax.Array,
    cell_mask: jax.Array,
    pairs: jax.Array,
    *,
    backend: str,
) -> jax.Array:
    """Loss of a batch, whose pairs a backend finds, or "none"."""
    heads = _heads(params, features, anchors_yx)
    if backend != "none":
        pairs = _match(*heads, true_yx, labels, cell_mask, backend=backend)
    losses = jax.vmap(matched.matched_losses)(*heads, true_yx, labels, pairs)
    return matched.total_loss(losses)[0]


def notes(rows: Sequence[Row]) -> Iterator[str]:
    """What each way to match adds to the step."""
    alone = {row["proposals"]: row for row in rows if row["contestant"] == "none"}
    for row in rows:
        if row["contestant"] != "none" and row["proposals"] in alone:
            added = row["median_ms"] - alone[row["proposals"]]["median_ms"]
            yield (
                f"{row['proposals']} proposals, {row['cells']} cells, batch "
                f"{row['batch']}: {row['contestant']} adds {added:.1f} ms to a step"
            )


def host_below(rows: Sequence[Row]) -> float:
    """Proposals a cell from which the device is as fast, at all larger ones; 0: always.

    Infinity if the host is faster where proposals abound most.
    """
    times: dict[tuple[int, int], dict[str, float]] = {}
    for row in rows:
        size = row["proposals"], row["cells"]
        times.setdefault(size, {})[row["contestant"]] = row["median_ms"]
    lost: dict[float, bool] = {}  # proposals a cell -> whether the host is faster
    for (proposals, cells), ways in times.items():
        if {"device", "host"} & set(ways):  # one of them may have been too slow
            device_ms = ways.get("device", math.inf)
            faster = ways.get("host", math.inf) < device_ms
            few = proposals / cells
            lost[few] = lost.get(few, False) or faster
    if not any(lost.values()):
        return 0.0
    worst = max(few for few, faster in lost.items() if faster)
    return min((few for few in lost if few > worst), default=math.inf)


def auto_notes(rows: Sequence[Row]) -> Iterator[str]:
    """Where the device starts to be as fast, beside what "auto" takes."""
    platform = jax.default_backend()
    yield (
        f"the device is as fast from {host_below(rows):g} proposals a cell on, on "
        f"{platform}; ops.matching.HOST_BELOW says {matching.HOST_BELOW.get(platform)}"
    )


def _heads(
    params: Params, features: jax.Array, anchors_yx: jax.Array
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Proposals [B, M, 2], their objectness logits and class logits."""
    for index, weights in enumerate(params):
        features = jax.lax.conv_general_dilated(
            features if index == 0 else jax.nn.relu(features),
            weights,
            (1, 1),
            "SAME",
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
        )
    outputs = features.reshape(len(features), -1, _OUTPUTS)
    return anchors_yx + outputs[..., :2], outputs[..., 2:4], outputs[..., 4:]


def _match(
    points_yx: jax.Array,
    objectness: jax.Array,
    classes: jax.Array,
    *cells: jax.Array,
    backend: str,
) -> jax.Array:
    probs = jax.nn.softmax(objectness)[..., 0], jax.nn.softmax(classes)
    return matching.match(points_yx, *probs, *cells, backend=backend).proposal_idx
