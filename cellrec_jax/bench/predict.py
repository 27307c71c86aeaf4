"""Time of a patch, from the image on the host to its points there, for Table 1's rows.

Shui et al., End-to-end cell recognition by point annotation, MICCAI 2022, Table 1: 1920
x 1080 px take theirs 110 ms, P2PNet 120, regressed maps 2310 to 3040 (device unsaid,
trained on an A100). Rows have the small networks of `launch/sweeps/point_table1.toml`;
with `--full` those of published size, for a GPU.

One uint8 image of noise goes through `predict.compiled`; thresholds and least distances
are the host's. Rows take turns in one process; compilation is apart.
"""

from collections.abc import Mapping
import math
import time
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from cellrec_jax import methods
from cellrec_jax.bench import experiments, machine, timing
from cellrec_jax.bench.report import Report, Row, Say, Settings
from cellrec_jax.config import Experiment

Size = tuple[int, int]


class Table1(NamedTuple):
    """A row of Table 1."""

    small: str
    """Configuration of the network for two CPU cores."""
    full: str
    """That of the network of published size."""
    paper_ms: float | None = None
    """Time of a patch of `PAPER_HW`; None where the paper has no such row."""


ROWS = {
    "ours": Table1("pdl1_point:small_group", "pdl1_point", 110.0),
    "p2pnet": Table1("pdl1_point:p2pnet_small", "pdl1_point:p2pnet", 120.0),
    "deeplab": Table1("pdl1_map:small_deeplab", "pdl1_map:deeplab", 2510.0),
    "circles": Table1("pdl1_map:small_circles", "pdl1_map:circles"),
    "multitask": Table1("pdl1_map:small_multitask", "pdl1_map:multitask", 2520.0),
    "unet": Table1("pdl1_map:small_unet", "pdl1_map:unet", 2460.0),
    "res_unet": Table1("pdl1_map:small_res_unet", "pdl1_map:res_unet", 2560.0),
    "fcrn_a": Table1("pdl1_map:small_fcrn_a", "pdl1_map:fcrn_a", 2310.0),
    "fcrn_b": Table1("pdl1_map:small_fcrn_b", "pdl1_map:fcrn_b", 3040.0),
}
SIZE_HW = (640, 640)
"""px, of the small rows where `--sizes` does not say."""
PAPER_HW = (1080, 1920)
"""px, of the full rows; the paper's patches."""
AGAINST = "ours"
"""The row that ratios refer to."""

_NUM_CLASSES = 4  # the paper's


def run(settings: Settings, say: Say) -> Report:
    """Measures the rows of one table.

    `full` takes networks of published size, `sizes_hw` replaces `SIZE_HW` (`PAPER_HW`
    if full); no row is compiled after `budget_s`. ConfigError for an unknown preset.
    """
    until = time.perf_counter() + settings.budget_s
    names = experiments.chosen(settings.presets, ROWS)
    rows: list[Row] = []
    notes: list[str] = []
    for size_hw in settings.sizes_hw or (PAPER_HW if settings.full else SIZE_HW,):
        known, calls = {}, {}
        for name in names:
            title = f"{name}, {size_hw[0]}x{size_hw[1]}"
            if time.perf_counter() > until:
                notes.append(f"skipped: {title}: no time left")
                continue
            say(f"predict: {title}")
            config = ROWS[name].full if settings.full else ROWS[name].small
            try:
                calls[name], facts = ready(experiments.load(config), size_hw)
            except ImportError as error:
                notes.append(f"skipped: {title}: {error.name} is not installed")
            except jax.errors.JaxRuntimeError as error:  # out of memory, say
                what = str(error).strip().partition("\n")[0]
                notes.append(f"skipped: {title}: {what}")
            else:
                as_paper = settings.full and size_hw == PAPER_HW
                paper_ms = ROWS[name].paper_ms if as_paper else None
                known[name] = {"config": config, "paper_ms": paper_ms, **facts}
        found = timing.compare(calls, settings.repeats or timing.REPEATS, math.inf)
        rows += [_row(name, size_hw, known[name], found) for name in known]
    return Report(tuple(rows), tuple(notes))


def ready(
    experiment: Experiment, size_hw: Size, num_classes: int = _NUM_CLASSES
) -> tuple[timing.Call, Mapping[str, Any]]:
    """Compiles an initial network, predicts once: what is timed, and columns."""
    from cellrec_jax.predict import compiled
    from cellrec_jax.workdir import model as model_lib  # late: needs Orbax

    method = methods.build(experiment, num_classes)
    image = jnp.zeros((1, 64, 64, 3))
    weights = jax.jit(
        lambda rng: model_lib.read_by_predict(method, *method.init(rng, image))
    )(jax.random.key(0))
    pixels = np.random.default_rng(0).integers(0, 256, (*size_hw, 3), np.uint8)
    whole = np.array([size_hw], np.int32)
    windows = compiled.Windows(pixels[None], whole, np.ones(1, bool))
    predict = compiled.jit_predict(method, num_classes)
    call = timing.compile_call(predict, *weights, windows, wait=jax.device_get)
    call.run()
    return call, {
        "parameters": sum(leaf.size for leaf in jax.tree.leaves(weights[0])),
        "call_mib": call.held_bytes / 2**20 or None,
        "peak_mib": machine.peak_mib(),
    }


def _row(
    name: str,
    size_hw: Size,
    known: Mapping[str, Any],
    found: Mapping[str, timing.Timing],
) -> Row:
    timed, reference = found[name], found.get(AGAINST)
    return {
        "row": name,
        "image_px": f"{size_hw[0]}x{size_hw[1]}",
        **timed.columns(),
        "mpx_per_s": size_hw[0] * size_hw[1] / timed.median_s / 1e6,
        "against": AGAINST,
        "ratio": timed.median_s / reference.median_s if reference else None,
        **known,
    }
