#!/usr/bin/env bash
# Everything that wants a GPU, in one go: tests on the device, then the benchmarks of
# kernels and models (launch/device_bench.sh). Needs jax, flax, optax, orbax, chex, scipy, pillow, rich
# and pytest; what else is missing is skipped by name.
#
#   launch/gpu_checks.sh [--quick] [--out DIR] [--only tests,bench]
#
# --quick tries the script itself, on any device: few tests, tiny sizes.
# Writes DIR/gpu_checks.json (all figures) and DIR/gpu_checks.txt (what was printed);
# DIR is runs/gpu_checks unless given. Ends with 1 if a part failed, after all have run.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1

quick=0 out=runs/gpu_checks only=tests,bench
while (($#)); do
  case $1 in
    --quick) quick=1 ;;
    --out) out=${2:?--out needs a folder} && shift ;;
    --only) only=${2:?--only needs names} && shift ;;
    *) sed -n '6p' "$0" >&2 && exit 2 ;;
  esac
  shift
done

python=${PYTHON:-python3}
export PYTHONPATH=$PWD${PYTHONPATH:+:$PYTHONPATH}
# The tests hide GPUs unless this is set; they ask for f32 products of full precision.
export CUDA_VISIBLE_DEVICES=${CUDA_VISIBLE_DEVICES-0}
export TF_CPP_MIN_LOG_LEVEL=3
mkdir -p "$out" && rm -f "$out"/*.json "$out"/*.xml || exit 1
exec > >(tee "$out/gpu_checks.txt") 2>&1

if ((quick)); then
  folders=(tests/bench)
else
  # Where the device matters; readers, files and metrics run on the host.
  folders=(tests/losses tests/ops tests/nn tests/methods tests/train tests/bench
    tests/data/test_augment.py tests/data/test_arrays.py)
fi

# Runs a part: its name, then its command. Keeps its exit status and seconds.
parts=()
part() {
  local name=$1 begin=$SECONDS
  shift
  echo "== $name: $*"
  "$@"
  parts+=("$name=$?=$((SECONDS - begin))")
}

# Test files that cannot be imported because a package is missing.
missing_packages() {
  "$python" -m pytest --collect-only -q -p no:cacheprovider "$@" 2>&1 |
    sed -nE "s/^ERROR ([^ ]+) - ModuleNotFoundError: No module named '([^']+)'.*/\1 \2/p"
}

run_tests() {
  local ignored=() present=() path package
  for path in "${folders[@]}"; do [[ -e $path ]] && present+=("$path"); done
  while read -r path package; do
    echo "skipped: $path needs $package"
    ignored+=("--ignore=$path")
  done < <(missing_packages "${present[@]}")
  JAX_DEFAULT_MATMUL_PRECISION=highest "$python" -m pytest -q -m 'not slow' \
    -p no:cacheprovider --junitxml="$out/tests.xml" "${ignored[@]}" "${present[@]}"
}

run_benchmarks() {
  local quickly=()
  ((quick)) && quickly=(--quick)
  PYTHON=$python launch/device_bench.sh "${quickly[@]}" --out "$out/bench"
}

check_device() {
  "$python" - "$quick" <<'PY'
import sys
import jax
devices = jax.devices()
print(f"{len(devices)} x {devices[0].device_kind}, jax {jax.__version__}")
if devices[0].platform == "cpu" and sys.argv[1] == "0":
    sys.exit("error: jax sees no GPU; --quick tries the script without one")
PY
}

check_device || exit 1
[[ ,$only, == *,tests,* ]] && part tests run_tests
[[ ,$only, == *,bench,* ]] && part bench run_benchmarks

"$python" - "$out" "${parts[@]}" <<'PY'
import json
import os
from pathlib import Path
import sys
import xml.etree.ElementTree as ET

out = Path(sys.argv[1])
found = {"parts": {}}
for part in sys.argv[2:]:
    name, status, seconds = part.split("=")
    found["parts"][name] = {"exit": int(status), "seconds": int(seconds)}
if (out / "tests.xml").exists():
    suite = next(ET.parse(out / "tests.xml").getroot().iter("testsuite"))
    counts = {k: int(suite.get(k, 0)) for k in ("tests", "failures", "errors", "skipped")}
    counts["failed"] = [
        f"{case.get('classname')}::{case.get('name')}"
        for case in suite.iter("testcase")
        if case.find("failure") is not None or case.find("error") is not None
    ]
    found["tests"] = counts
path = out / "bench" / "device_bench.json"
if path.exists():
    figures = json.loads(path.read_text())
    found |= {"machine": figures["machine"], "bench": figures["results"]}
temporary = out / ".tmp.json"
temporary.write_text(json.dumps(found, indent=1) + "\n")
os.replace(temporary, out / "gpu_checks.json")
for name, part in found["parts"].items():
    print(f"{name}: {'ok' if part['exit'] == 0 else 'FAILED'} in {part['seconds']} s")
print(f"figures: {out / 'gpu_checks.json'}; text: {out / 'gpu_checks.txt'}")
sys.exit(any(part["exit"] for part in found["parts"].values()))
PY
