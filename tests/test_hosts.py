"""What processes share, of one and of two; `test_multihost` has runs of two."""

import json
import subprocess
import sys

import numpy as np
import pytest

from cellrec_jax import hosts

TWO = """
import json, sys
from etils import epath
import jax
import numpy as np
from cellrec_jax import config, errors, hosts, multihost
from cellrec_jax.io.console import Console
from cellrec_jax.train import start
from cellrec_jax.types import TrainState
from cellrec_jax.workdir import checkpoint

multihost.join(sys.argv[1])
which, workdir = jax.process_index(), epath.Path(sys.argv[2])
hosts.check_shared(workdir, "--workdir")
found = {
    "first": hosts.first_json(["of", which]),
    "differing": hosts.differing(which),
    "alike": hosts.differing("all"),
    "new": [multihost.is_new("of all"), multihost.is_new(f"of {which}")],
}
state = TrainState(np.int32(3), {"w": np.ones(3)}, {}, (), {})
restore = checkpoint.restore

def blind(manager, template, step):
    if which == 1 and step == 5:
        raise errors.CheckpointError("5: cannot be read")
    return restore(manager, template, step)

checkpoint.restore = blind
with checkpoint.open_manager(workdir, config.CheckpointConfig()) as manager:
    for step in (3, 5):
        checkpoint.save(manager, state.replace(step=np.int32(step)), {})
    manager.wait_until_finished()
    saved = start.resume(manager, state, Console(quiet=True))
found["step"] = int(saved.state.step)
print(json.dumps(found))
multihost.leave(0)
"""


@pytest.mark.parametrize("number", [1, 2, 3, 7])
@pytest.mark.parametrize("count", [0, 1, 5, 6])
def test_parts_are_put_together_in_order(number, count):
    items = list(range(count))
    parts = [items[index::number] for index in range(number)]
    assert hosts.in_order(parts) == items


def test_a_part_says_of_how_many(monkeypatch):
    assert hosts.part_of("predicting") == "predicting"
    monkeypatch.setattr(hosts.jax, "process_count", lambda: 3)
    monkeypatch.setattr(hosts.jax, "process_index", lambda: 2)
    assert hosts.part_of("predicting") == "predicting, part 3 of 3"


def test_one_process_has_everything():
    assert hosts.is_first()
    assert hosts.own(["a", "b"]) == ["a", "b"]
    assert hosts.gather(b"text") == [b"text"]
    assert hosts.gather_json({"a": [1, None]}) == [{"a": [1, None]}]
    assert hosts.most(3) == 3
    assert hosts.first_json({"a": [1, None, "\udc80"]}) == {"a": [1, None, "\udc80"]}
    assert hosts.differing([1]) == []
    arrays = {"x": np.arange(3, dtype=np.int16), "empty": np.zeros((0, 2))}
    (found,) = hosts.gather_arrays(arrays)
    for name, array in arrays.items():
        np.testing.assert_array_equal(found[name], array)
        assert found[name].dtype == array.dtype


@pytest.mark.slow
def test_two_processes_agree(tmp_path, free_port):
    """One of them cannot read the newest checkpoint."""
    command = [sys.executable, "-c", TWO]
    processes = [
        subprocess.Popen(
            [*command, f"localhost:{free_port},2,{which}", str(tmp_path / "run")],
            stdout=subprocess.PIPE,
            text=True,
        )
        for which in (0, 1)
    ]
    texts = [process.communicate(timeout=300)[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    found = [json.loads(text.splitlines()[-1]) for text in texts]  # after those of Gloo
    for one in found:
        assert one["first"] == ["of", 0]
        assert one["differing"] == [1]
        assert one["alike"] == []
        assert one["new"][1]
        assert one["step"] == 3
    assert sum(one["new"][0] for one in found) == 1
    names = {path.name for path in (tmp_path / "run" / "checkpoints").iterdir()}
    assert names >= {"3", "damaged-5"}
