#!/usr/bin/env bash
# Everything that wants a GPU, in 8 minutes on one: training steps, predictions, kernels
# and their tests, a trace. Needs Python 3.11 or later with jax, flax, optax, orbax, chex
# and scipy. More is measured with pytest and hypothesis (tests), torch and torchvision
# (peers), pillow, tifffile and orjson (large); what is missing is told by name.
#
#   launch/gpu_checks.sh [--quick] [--out DIR] [--only PART,PART] [--profile STEPS]
#
# --quick tries the script itself on any device: tiny sizes, three minutes on two cores.
# Writes DIR/gpu_checks.json after each part, DIR/gpu_checks.txt (what was printed) and
# DIR/trace (for ui.perfetto.dev); DIR is runs/gpu_checks unless given, where you are.
# --only on the same machine keeps what the other parts found before. Ends with 1 if a
# part failed or was stopped, after all have run. Then, to choose by what was measured:
#
#   python -m cellrec_jax.bench apply DIR/gpu_checks.json
set -uo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd) || exit 1
export PYTHONPATH=$root${PYTHONPATH:+:$PYTHONPATH}
exec "${PYTHON:-python3}" -P -m cellrec_jax.bench device "$@"
