"""`python -m cellrec_jax.bench collectives`: what devices tell each other in a step.

Of training steps on four CPU devices, an image each: the collectives that the traced
step asks for, one for each array, and those of the compiled program, with their bytes.
XLA joins those that wait for nothing else, also on CPUs, and leaves out what is alike
on all, such as gradients of frozen weights; those of batch norm wait for each other.
Bytes are those that each device gives; a ring moves about twice as many.
"""

import argparse
from collections.abc import Iterator, Sequence
import math
from pathlib import Path
import re
import sys
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from cellrec_jax import methods
from cellrec_jax.bench import experiments, machine, report
from cellrec_jax.config import Experiment
from cellrec_jax.train import start
from cellrec_jax.train import step as step_lib
from cellrec_jax.types import Batch

DEVICES = 4
_FAST = {
    "xla_backend_optimization_level": 0,
    "xla_llvm_disable_expensive_passes": True,
}
"""Compiles machine code faster; collectives are arranged before that."""
_ASKED = re.compile(r'"stablehlo\.all_reduce"')
_RESULTS = re.compile(r"\) -> (.*)$", re.MULTILINE)
_TENSOR = re.compile(r"tensor<((?:\d+x)*)([a-z]+\d+)>")
_DONE = re.compile(r"= (.*?) (?:all-reduce|all-gather|reduce-scatter)(?:-start)?\(")
_ARRAY = re.compile(r"([a-z]+\d+|pred)\[([\d,]*)\]")


class Count(NamedTuple):
    """Collectives of a program."""

    number: int
    """How often devices wait for each other; in a loop it counts once."""
    arrays: int
    size: int
    """Bytes of their results."""


def asked(text: str) -> Count:
    """Those of a lowered program, StableHLO."""
    sizes = []
    for found in _ASKED.finditer(text):
        results = _RESULTS.search(text, found.end())
        assert results is not None  # every operation has a type
        arrays = _TENSOR.findall(results[1])
        sizes += [_bytes(kind, shape.split("x")[:-1]) for shape, kind in arrays]
    return Count(len(_ASKED.findall(text)), len(sizes), sum(sizes))


def done(text: str) -> Count:
    """Those of a compiled program, HLO.

    Example:
      >>> done("%r = (f32[2,3]{1,0}, f32[]) all-reduce(%a, %b), channel_id=1")
      Count(number=1, arrays=2, size=28)
    """
    types = _DONE.findall(text)
    arrays = [array for one in types for array in _ARRAY.findall(one)]
    sizes = [_bytes(kind, shape.split(",")) for kind, shape in arrays]
    return Count(len(types), len(arrays), sum(sizes))


def _bytes(kind: str, shape: Sequence[str]) -> int:
    bits = re.search(r"\d+$", kind)
    each = max(int(bits[0]) // 8, 1) if bits else 1
    return each * math.prod(int(side) for side in shape if side)


def measure(flag: str, compiling: bool) -> report.Row:
    """A row of the table: of `FILE[:PRESET]`."""
    experiment = experiments.load(flag)
    method = methods.build(experiment, num_classes(experiment))
    state = jax.eval_shape(lambda: start.make_state(experiment, method))
    step: Any = step_lib.program(experiment, method).compiled
    lowered = step.lower(state, batch_shapes(experiment, DEVICES, 1), jax.random.key(0))
    before = asked(lowered.as_text())
    row = {
        "preset": flag,
        "parameters": sum(leaf.size for leaf in jax.tree.leaves(state.params)),
        "asked": before.number,
        "asked_mib": before.size / 2**20,
    }
    if not compiling:
        return row
    after = done(lowered.compile(compiler_options=_FAST).as_text())
    return {**row, "compiled": after.number, "compiled_mib": after.size / 2**20}


def num_classes(experiment: Experiment) -> int:
    """How many classes a preset is counted with, as its images are not there."""
    if experiment.method in ("heatmap_pu", "vicar"):
        return 1
    return experiment.data.classes.count("=") or 4


def batch_shapes(experiment: Experiment, devices: int, images: int) -> Batch:
    """Shapes of a batch as training feeds it: some images for each device."""
    slots, size_hw = experiment.data.max_cells, experiment.data.size_hw
    painted = experiment.method == "estimate_mask"

    def spec(dtype: Any, *shape: int) -> Any:
        return jax.ShapeDtypeStruct((devices, images, *shape), dtype)

    return Batch(
        image=spec(jnp.uint8, *size_hw, 3),
        image_mask=spec(jnp.bool_),
        points_yx=spec(jnp.float32, slots, 2),
        labels=spec(jnp.int32, slots),
        points_mask=spec(jnp.bool_, slots),
        boxes_yxyx=spec(jnp.float32, slots, 4),
        valid=spec(jnp.bool_, *size_hw),
        example_index=spec(jnp.int32),
        maps=spec(jnp.uint8, *size_hw, 2) if painted else None,
    )


def presets(named: str) -> Iterator[str]:
    """`FILE[:PRESET]` of "demo", "all" or names with commas; without fits."""
    from cellrec_jax import config_files

    if named not in ("demo", "all"):
        yield from named.split(",")
        return
    for flag in config_files.shipped():
        trained = not flag.startswith(("blob_filter", "c2c12_vicar"))
        if trained and (named == "all" or flag.endswith(":demo")):
            yield flag


def command(arguments: Sequence[str]) -> int:
    """Prints the table, and writes it where asked; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m cellrec_jax.bench collectives", description=__doc__
    )
    add = parser.add_argument
    what = "demo, all, or FILE:PRESET,FILE:PRESET"
    add("--presets", default="demo", metavar="WHICH", help=what)
    add("--traced", action="store_true", help="compile nothing")
    add("--json", type=Path, metavar="FILE", help="write figures here")
    flags = parser.parse_args(arguments)
    options: Any = jax.config  # before there are devices
    if options.jax_num_cpu_devices != DEVICES:
        options.update("jax_platforms", "cpu")
        options.update("jax_num_cpu_devices", DEVICES)
    facts = machine.facts()
    rows: list[report.Row] = []
    for flag in presets(flags.presets):
        print(f"collectives: {flag}", file=sys.stderr, flush=True)  # noqa: T201
        rows.append(measure(flag, not flags.traced))
        if flags.json:  # so that a run that is stopped leaves some
            found = report.Report(tuple(rows))
            report.write_json(flags.json, facts, {"collectives": found})
    report.show("collectives", report.Report(tuple(rows)), print)
    return 0
