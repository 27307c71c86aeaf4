"""What the training step of each preset does, counted before it is compiled.

    python tests/fingerprints.py            compares
    python tests/fingerprints.py --write    renews tests/fingerprints/*.json

FLOPs and bytes are XLA's estimate of the lowered step on one device; loops, sorts,
gathers, host calls and collectives are counted in its text. They are of one version of
JAX, which the files name.
"""

import argparse
from collections.abc import Mapping
import json
from pathlib import Path
import re
import sys
from typing import Any

import jax

from cellrec_jax import config_files, methods
from cellrec_jax.bench import collectives
from cellrec_jax.train import parallel, start
from cellrec_jax.train import step as step_lib

FOLDER = Path(__file__).parent / "fingerprints"
PRESETS = (
    "ki67_bde",
    "ki67_bde:small_paper",
    "ki67_bde:demo_paper",
    "mitos_bde",
    "pdl1_point",
    "pdl1_point:small",
    "pdl1_point:small_group",
    "pdl1_point:p2pnet",
    "pdl1_point:p2pnet_small",
    *(
        f"pdl1_map:{name}"
        for name in ("fcrn_a", "fcrn_b", "unet", "res_unet", "deeplab", "circles")
    ),
    "pdl1_map:multitask",
    "pdl1_map:small_unet",
    "c2c12_pseudo",
    "c2c12_pseudo:demo",
    "c2c12_pseudo:small",
    "c2c12_pseudo:yang_pixels",
    "c2c12_pseudo:bde",
    "c2c12_pseudo:recalibrated",
    "c2c12_pseudo:mean_teacher",
    "cytoplasm_multitask",
    "cytoplasm_multitask:ours",
    "cytoplasm_multitask:dynamic",
    "cytoplasm_multitask:fcrn",
    "cytoplasm_multitask:fcrn_b",
    "cytoplasm_multitask:estimate_mask",
    "cytoplasm_multitask:small",
    "cytoplasm_multitask:demo",
)
TOLERANCE = 0.1
_COUNTED = {
    "loops": "while",
    "sorts": "sort",
    "gathers": "gather",
    "scatters": "scatter",
    "convolutions": "convolution",
    "collectives": "all_reduce",
}
"""Name -> the operation of StableHLO."""


def fingerprint(name: str) -> dict[str, Any]:
    """Counts the training step of a preset; nothing is compiled or run."""
    experiment = methods.freeze(config_files.load(name))
    method = methods.build(experiment, collectives.num_classes(experiment))
    state = jax.eval_shape(lambda: start.make_state(experiment, method))
    step = step_lib.program(experiment, method).step
    mapped = parallel.pmap_step(step, jax.devices()[:1])
    batch = collectives.batch_shapes(experiment, 1, experiment.batch_size)
    lowered = mapped.lower(state, batch, jax.random.key(0))
    cost, text = lowered.cost_analysis(), lowered.as_text()
    found: dict[str, Any] = {"jax": jax.__version__, "flops": cost["flops"]}
    found["bytes"] = cost["bytes accessed"]
    for label, operation in _COUNTED.items():
        found[label] = len(re.findall(rf"stablehlo\.{operation}\b", text))
    found["host_calls"] = len(re.findall(r"custom_call @xla\w*python", text))
    leaves = jax.tree_util.tree_flatten_with_path(state.params)[0]
    found["parameters"] = {
        jax.tree_util.keystr(path, simple=True, separator="/"): list(leaf.shape)
        for path, leaf in leaves
    }
    return found


def differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """What changed by more than `TOLERANCE`, or at all in the parameters."""
    lines = []
    for key, old in before.items():
        new = now[key]
        if key == "parameters":
            names = sorted(old.keys() ^ new.keys())
            names += [n for n in old.keys() & new.keys() if old[n] != new[n]]
            lines += [f"parameter {n}: {old.get(n)} -> {new.get(n)}" for n in names]
        elif key != "jax" and abs(new - old) > TOLERANCE * max(abs(old), 1):
            lines.append(f"{key}: {old:g} -> {new:g}")
    return lines


def path_of(name: str) -> Path:
    """The file of a preset."""
    return FOLDER / f"{name.replace(':', '-')}.json"


def run(arguments: list[str]) -> int:
    """Compares or writes; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--write", action="store_true", help="renew the files")
    parser.add_argument("names", nargs="*", default=PRESETS, metavar="CONFIG:PRESET")
    flags = parser.parse_args(arguments)
    failed = False
    for name in flags.names:
        now, path = fingerprint(name), path_of(name)
        if flags.write:
            path.parent.mkdir(exist_ok=True)
            path.write_text(json.dumps(now, indent=1) + "\n")
            print(f"{name}: {now['flops']:.3g} FLOPs")
            continue
        lines = differences(json.loads(path.read_text()), now)
        print(f"{name}: {'; '.join(lines) or 'as before'}")
        failed = failed or bool(lines)
    return int(failed)


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
