"""A stand-in for the command line that trains: it writes what a run leaves behind."""

import json
import sys

import pytest

from cellrec_jax import config, config_files, methods
from cellrec_jax.sweep import runner
from tests import shipped

FAKE = """
import json, os, pathlib, signal, sys, time

flags = dict(word.removeprefix("--config.").split("=", 1) for word in sys.argv[5:])
workdir = pathlib.Path(sys.argv[4])
base = pathlib.Path(__file__).parent
if started := flags.pop("--init-from", ""):
    (base / "started").write_text(started)
with (base / "order").open("a") as file:
    print(workdir, file=file)
print("training", flush=True)
if any(word in str(workdir) for word in os.environ.get("FAIL", "").split()):
    print("error: boom\\n")
    sys.exit(1)
if "WAIT" in os.environ:  # until stopped
    def stop(*_):
        (workdir / "saved").touch()
        sys.exit(143)
    signal.signal(signal.SIGTERM, stop)
    (base / "waiting").touch()
    time.sleep(20)
if "MEET" in os.environ:  # until another run is there
    (base / f"here-{os.getpid()}").touch()
    for _ in range(500):
        if len(list(base.glob("here-*"))) > 1:
            break
        time.sleep(0.01)
    else:
        sys.exit(1)
config = json.loads((base / "preset.json").read_text())
for key, text in flags.items():
    section, _, name = key.rpartition(".")
    try:
        value = json.loads(text)
    except ValueError:
        value = text
    (config[section] if section else config)[name] = value
(workdir / "config.json").write_text(json.dumps(config))
seed, kept = config["seed"], float(flags.get("data.keep_rate", 1))
(workdir / "results.json").write_text(json.dumps({
    "metrics": {"F1": {"value": 0.5 + 0.1 * seed * kept}, "AP": {"value": None}},
    "run": {"timing": {"seconds": 60.0}, "versions": {"jax": "1.2"}},
}))
"""

SWEEP = """
title = "A trial"
seeds = [0, 1]
metrics = ["F1", "AP"]
[set]
data.format = "bcdata"
[axes.kept]
key = "data.keep_rate"
values = [0.1, 1.0]
[rows.plain]
config = "ki67_bde:small"
set.loss.calibration = "plain"
paper = { F1 = 0.6 }
[rows.bde]
label = "BDE"
config = "ki67_bde:small"
axes = []
"""


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch):
    monkeypatch.setattr(runner, "_POLL_S", 0.01)


@pytest.fixture
def sweep_file(tmp_path):
    path = tmp_path / "trial.toml"
    path.write_text(SWEEP)
    return path


@pytest.fixture(scope="session")
def weights(tmp_path_factory):
    """A folder of two model files, blue and green."""
    folder = tmp_path_factory.mktemp("weights")
    shipped.write(folder)
    return folder


@pytest.fixture
def fake_main(tmp_path, monkeypatch):
    """Runs start the stand-in, which notes them in the file `order`."""
    path = tmp_path / "fake.py"
    path.write_text(FAKE)
    preset = methods.freeze(config_files.load("ki67_bde:small"))
    (tmp_path / "preset.json").write_text(json.dumps(config.to_json(preset)))
    # -S -E: starts in half the time
    monkeypatch.setattr(runner, "MAIN", (sys.executable, "-S", "-E", str(path)))


@pytest.fixture
def order(tmp_path):
    """Reads and forgets which runs were started, in order."""

    def read():
        path = tmp_path / "order"
        if not path.exists():
            return []
        lines = path.read_text().split("\n")[:-1]
        path.unlink()
        return [line.strip().rpartition("/trial/")[2] for line in lines]

    return read
