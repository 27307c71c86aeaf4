#!/usr/bin/env bash
# Speed of all kernels, then of training and prediction, on a device: under ten minutes.
# Needs jax, flax, optax, chex, orbax, numpy and scipy (ml-collections, to train and to
# predict; pillow, to predict); what else is missing is skipped by name.
#
#   launch/device_bench.sh [--quick] [--out DIR]
#
# --quick tries the script itself on any device, in less than a minute: tiny sizes.
# Writes DIR/device_bench.json (all figures, the machine named; what was not measured,
# and why) and DIR/device_bench.txt (what was printed); DIR is runs/device_bench unless
# given. Ends with 1 if a part failed or was stopped, after all have run.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1

quick=0 out=runs/device_bench
while (($#)); do
  case $1 in
    --quick) quick=1 ;;
    --out) out=${2:?--out needs a folder} && shift ;;
    *) sed -n '6p' "$0" >&2 && exit 2 ;;
  esac
  shift
done

python=${PYTHON:-python3}
export PYTHONPATH=$PWD${PYTHONPATH:+:$PYTHONPATH}
export TF_CPP_MIN_LOG_LEVEL=3
parts=$out/parts
mkdir -p "$parts" && rm -f "$parts"/* "$out/device_bench.json" || exit 1
exec > >(tee "$out/device_bench.txt") 2>&1

"$python" - "$quick" <<'PY' || exit 1
import sys
import jax
device = jax.devices()[0]
if device.platform == "cpu" and sys.argv[1] == "0":
    sys.exit("error: jax sees no GPU; --quick tries the script without one")
PY

# Seconds for all; a kernel starts no further size after its share, and is stopped only
# if one size takes much longer than that.
total=560 most=80
# Calls that take longer tell little on a GPU and cost 20 times as much.
kernels=(--limit-s 0.3 --budget-s 25)
models=(--presets paper_bf16,paper --steps 20 --repeats 5)
rows=(--full --repeats 20 --budget-s 100)  # no network is compiled after that
if ((quick)); then
  kernels=(--sizes 64 --batch-size 1 --repeats 2)
  models=(--presets tiny --steps 1 --repeats 1)
  rows=(--presets ours,fcrn_a --sizes 64x96 --repeats 2)
fi

# Runs one benchmark for as long as there is time; keeps its exit status and seconds.
finished=()
part() {
  local name=$1 begin=$SECONDS left=$((total - SECONDS)) status=124
  shift
  echo "== $name: $*"
  if ((left > 0)); then
    timeout $((left < most ? left : most)) \
      "$python" -m cellrec_jax.bench "$name" "$@" --json "$parts/$name.json"
    status=$?
  fi
  finished+=("$name=$status=$((SECONDS - begin))")
}

for kernel in pu points density matching matching_step ranking nms roi_align; do
  part $kernel "${kernels[@]}"
done
most=$total
part train "${models[@]}"
part predict "${rows[@]}"

"$python" - "$out" "${finished[@]}" <<'PY'
import json
import os
from pathlib import Path
import sys

out = Path(sys.argv[1])
found = {"machine": None, "parts": {}, "results": {}}
for part in sys.argv[2:]:
    name, status, seconds = part.split("=")
    path = out / "parts" / f"{name}.json"
    outcome = {"0": "ok", "124": "stopped: no time left"}.get(status, "failed")
    if path.exists():
        figures = json.loads(path.read_text())
        found["machine"] = found["machine"] or figures["machine"]
        found["results"].update(figures["results"])
        result = figures["results"][name]
        if outcome == "ok" and not result["rows"]:
            outcome = "; ".join(["nothing measured", *result["notes"]])
    found["parts"][name] = {"outcome": outcome, "seconds": int(seconds)}
    print(f"{name}: {outcome} in {seconds} s")
temporary = out / ".tmp.json"
temporary.write_text(json.dumps(found, indent=1) + "\n")
os.replace(temporary, out / "device_bench.json")
print(f"figures: {out / 'device_bench.json'}; text: {out / 'device_bench.txt'}")
sys.exit(any(part["outcome"] != "ok" for part in found["parts"].values()))
PY
