"""Time of a patch, from the image on the host to its points there, for Table 1's rows.

Shui et al., End-to-end cell recognition by point annotation, MICCAI 2022, Table 1: on
patches of 1920 x 1080 px theirs takes 110 ms, P2PNet 120, the regressed maps 2310 to
3040 (they name an A100 for training, no device for these times). By default the rows
have the small networks of `launch/sweeps/point_table1.toml`; `--full` takes those of
published size, for a GPU.

One uint8 image of noise goes through what evaluation compiles (`compiled.jit_predict`):
network, peaks or proposals, least distance, thresholds. Weights are initial ones, which
leave hardly a slot empty, so thinning has no less to do than after training. Rows are
timed in turn, in one process; compilation is apart.
"""

from collections.abc import Callable, Mapping
import math
import time
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from cellrec_jax import errors, methods
from cellrec_jax.bench import machine, timing
from cellrec_jax.bench.report import Report, Row, Settings
from cellrec_jax.methods.density_map import options as map_options
from cellrec_jax.methods.point_matching import options as point_options
from cellrec_jax.types import Batch, Decode

Size = tuple[int, int]

SIZE_HW = (640, 640)
"""px, of the small rows where `--sizes` does not say."""
PAPER_HW = (1080, 1920)
"""px, of the full rows; the paper's patches."""
AGAINST = "ours"
"""The row that ratios refer to."""

_NUM_CLASSES = 4  # the paper's
_THRESHOLD = 0.5
_MIN_DISTANCE_PX = 6.0


class Setup(NamedTuple):
    """One row, with options that a test compares with its configuration file."""

    config: str
    """The file and its preset; not read here, where ml_collections may be missing."""
    method: str
    options: point_options.Options | map_options.Options


_MATCHED = point_options.LossOptions()
_P2PNET_LOSS = point_options.LossOptions(
    negative_weight=0.5,
    normalizer="weights",
    classification="cross_entropy",
    regression_weight=2e-4,
)
_MAPPED = map_options.LossOptions()
_DISCS = map_options.LossOptions(target="disc", iou_form="dice")


def _points(config: str, loss: point_options.LossOptions, **model: Any) -> Setup:
    """A row of matched points."""
    options = point_options.Options(point_options.ModelOptions(**model), loss)
    return Setup(config, "point_matching", options)


def _p2pnet(config: str, **model: Any) -> Setup:
    return _points(
        config,
        _P2PNET_LOSS,
        aggregation="fpn",
        head="plain",
        level=3,
        anchors="2x2",
        class_head=False,
        **model,
    )


def _maps(
    preset: str, network: str, loss: map_options.LossOptions = _MAPPED, **model: Any
) -> Setup:
    """A row of regressed maps."""
    options = map_options.Options(map_options.ModelOptions(network, **model), loss)
    return Setup(f"pdl1_map:{preset}", "density_map", options)


def _full(preset: str, network: str, loss: map_options.LossOptions = _MAPPED) -> Setup:
    return _maps(preset, network, loss, max_detections=4096)


def _small(
    preset: str, network: str, width: int, loss: map_options.LossOptions = _MAPPED
) -> Setup:
    return _maps(f"small_{preset}", network, loss, width=width, backbone="small")


FULL = {
    "ours": _points("pdl1_point", _MATCHED, max_detections=2048),
    "p2pnet": _p2pnet(
        "pdl1_point:p2pnet",
        encoder="vgg16",
        offset_scale=100.0,
        max_detections=2048,
        score_rule="argmax",
    ),
    "deeplab": _full("deeplab", "deeplab"),
    "multitask": _full("multitask", "deeplab", _DISCS),
    "unet": _full("unet", "unet"),
    "res_unet": _full("res_unet", "res_unet"),
    "fcrn_a": _full("fcrn_a", "fcrn_a"),
    "fcrn_b": _full("fcrn_b", "fcrn_b"),
}
"""Row of the sweep -> its network of published size."""

SMALL = {
    "ours": _points(
        "pdl1_point:small",
        _MATCHED,
        encoder="small",
        channels=64,
        offset_scale=8.0,
        level=4,
        anchors="1x1",
    ),
    "p2pnet": _p2pnet(
        "pdl1_point:p2pnet_small", encoder="vgg_small", channels=56, offset_scale=8.0
    ),
    "deeplab": _small("deeplab", "deeplab", 96),
    "multitask": _small("multitask", "deeplab", 96, _DISCS),
    "unet": _small("unet", "unet", 16),
    "res_unet": _small("res_unet", "res_unet", 16),
    "fcrn_a": _small("fcrn_a", "fcrn_a", 24),
    "fcrn_b": _small("fcrn_b", "fcrn_b", 14),
}
"""Row of the sweep -> its network for two CPU cores."""

PAPER_MS = {
    "ours": 110.0,
    "p2pnet": 120.0,
    "deeplab": 2510.0,
    "multitask": 2520.0,
    "unet": 2460.0,
    "res_unet": 2560.0,
    "fcrn_a": 2310.0,
    "fcrn_b": 3040.0,
}
"""Row -> time of a patch in Table 1; the full networks' at `PAPER_HW`."""


class Ready(NamedTuple):
    """A row that is compiled and has predicted once."""

    call: timing.Call
    parameters: int
    peak_mib: float
    """Of the process so far; see `machine.peak_mib`."""


def run(settings: Settings, say: Callable[[str], None]) -> Report:
    """Measures the rows of one table.

    Args:
      settings: `full` takes the networks of published size, `presets` some of the rows,
        `sizes_hw` other sizes than `SIZE_HW` (`PAPER_HW` if full), `repeats` samples;
        no row is compiled after `budget_s`.
      say: told what is being measured.

    Raises:
      ConfigError: if there is no such row.
    """
    setups = _chosen(settings)
    try:
        import cellrec_jax.predict.compiled  # noqa: F401  # needs Pillow
    except ImportError as error:
        return Report((), (f"skipped: {error.name} is not installed",))
    until = time.perf_counter() + settings.budget_s
    rows: list[Row] = []
    notes: list[str] = []
    for size_hw in settings.sizes_hw or (PAPER_HW if settings.full else SIZE_HW,):
        ready, left_out = _prepare_all(setups, size_hw, until, say)
        calls = {name: row.call for name, row in ready.items()}
        found = timing.compare(calls, settings.repeats or timing.REPEATS, math.inf)
        rows += [
            _row(name, setups[name], size_hw, ready[name], found) for name in ready
        ]
        notes += left_out
    return Report(tuple(rows), tuple(notes))


def _prepare_all(
    setups: Mapping[str, Setup],
    size_hw: Size,
    until: float,
    say: Callable[[str], None],
) -> tuple[dict[str, Ready], list[str]]:
    """What can be timed, and notes on what cannot."""
    ready: dict[str, Ready] = {}
    notes = []
    for name, setup in setups.items():
        title = f"{name}, {_px(size_hw)}"
        if time.perf_counter() > until:
            notes.append(f"skipped: {title}: no time left")
            continue
        say(f"predict: {title}")
        try:
            ready[name] = prepare(setup, size_hw)
        except jax.errors.JaxRuntimeError as error:  # out of memory, say
            what = str(error).strip().partition("\n")[0]
            notes.append(f"skipped: {title}: {what}")
    return ready, notes


def prepare(setup: Setup, size_hw: Size) -> Ready:
    """Builds a row with initial weights, compiles it and predicts once.

    Args:
      setup: of `SMALL` or `FULL`.
      size_hw: of the image, px.
    """
    from cellrec_jax.predict.compiled import jit_predict

    method = methods.module(setup.method).make(setup.options, num_classes=_NUM_CLASSES)
    weights = method.init(jax.random.key(0), jnp.zeros((1, 64, 64, 3)))
    thresholds = jnp.full(_NUM_CLASSES, _THRESHOLD)
    decode = Decode(thresholds, jnp.asarray(_MIN_DISTANCE_PX))
    batch = _noise(size_hw)
    predict: Any = jit_predict(method)
    begin = time.perf_counter()
    compiled = predict.lower(*weights, batch, decode).compile()
    call = timing.Call(
        lambda: jax.device_get(compiled(*weights, batch, decode)),
        compile_s=time.perf_counter() - begin,
        held_bytes=timing.held_bytes(compiled),
    )
    call.run()
    parameters = sum(leaf.size for leaf in jax.tree.leaves(weights[0]))
    return Ready(call, parameters, machine.peak_mib())


def _chosen(settings: Settings) -> dict[str, Setup]:
    table = FULL if settings.full else SMALL
    if unknown := set(settings.presets) - set(table):
        raise errors.ConfigError(
            f"--presets {','.join(sorted(unknown))}: choose among {', '.join(table)}"
        )
    return {
        name: setup
        for name, setup in table.items()
        if name in (settings.presets or table)
    }


def _noise(size_hw: Size) -> Batch:
    """One image without annotations, on the host."""
    pixels = np.random.default_rng(0).integers(0, 256, (1, *size_hw, 3), np.uint8)
    fields: dict[str, Any] = {
        "image": pixels,
        "image_mask": np.ones(1, bool),
        "points_yx": np.zeros((1, 1, 2), np.float32),
        "labels": np.full((1, 1), -1, np.int32),
        "points_mask": np.zeros((1, 1), bool),
        "boxes_yxyx": np.zeros((1, 1, 4), np.float32),
        "valid": np.ones((1, *size_hw), bool),
        "example_index": np.zeros(1, np.int32),
    }
    return Batch(**fields)


def _row(
    name: str,
    setup: Setup,
    size_hw: Size,
    ready: Ready,
    found: Mapping[str, timing.Timing],
) -> Row:
    timed, reference = found[name], found.get(AGAINST)
    as_paper = setup is FULL[name] and size_hw == PAPER_HW
    return {
        "row": name,
        "config": setup.config,
        "image_px": _px(size_hw),
        "parameters": ready.parameters,
        "compile_s": timed.compile_s,
        "median_ms": timed.median_s * 1e3,
        "iqr_ms": timed.iqr_s * 1e3,
        "low_ms": timed.low_s * 1e3,
        "high_ms": timed.high_s * 1e3,
        "repeats": timed.repeats,
        "against": AGAINST,
        "ratio": timed.median_s / reference.median_s if reference else None,
        "paper_ms": PAPER_MS[name] if as_paper else None,
        "call_mib": ready.call.held_bytes / 2**20 or None,
        "peak_mib": ready.peak_mib,
    }


def _px(size_hw: Size) -> str:
    height, width = size_hw
    return f"{height}x{width}"
