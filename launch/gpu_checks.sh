#!/usr/bin/env bash
# Everything that wants a GPU, in 8 minutes on one: tests of kernels, training steps,
# predictions, kernels, a trace. Needs jax, flax, optax, orbax, chex and scipy; what else
# is missing (pytest, pillow, torchvision, ...) is told by name.
#
#   launch/gpu_checks.sh [--quick] [--out DIR] [--only PART,PART] [--profile STEPS]
#
# --quick tries the script itself on any device, in less than three minutes: tiny sizes.
# Writes DIR/gpu_checks.json after each part, DIR/gpu_checks.txt (what was printed) and
# DIR/trace (for ui.perfetto.dev); DIR is runs/gpu_checks unless given. Ends with 1 if a
# part failed or was stopped, after all have run. Then, to choose by what was measured:
#
#   python -m cellrec_jax.bench apply DIR/gpu_checks.json
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1
export PYTHONPATH=$PWD${PYTHONPATH:+:$PYTHONPATH}
exec "${PYTHON:-python3}" -m cellrec_jax.bench device "$@"
