"""The one call of XPK, and what is refused before it."""

import shlex

import pytest

PLACE = {"NAME": "n", "IMAGE": "i", "CLUSTER": "c", "PROJECT": "p", "ZONE": "z"}
RUN = ["--config", "a", "--workdir", "gs://b/r", "--config.data.root=a b"]
MAIN = "exec python -m cellrec_jax.main --config a --workdir gs://b/r "
MAIN += "'--config.data.root=a b'"
PODS = "$JAX_COORDINATOR_ADDRESS:$JAX_COORDINATOR_PORT,$NNODES,$NODE_RANK"


@pytest.mark.parametrize(
    ("device", "flags", "command"),
    [
        ({"TPU": "v5e"}, ["--tpu-type=v5e", "--num-slices=1"], MAIN),
        (
            {"GPU": "h100", "COUNT": "2"},
            ["--device-type=h100", "--num-nodes=2"],
            f"{MAIN} --multihost {PODS}",
        ),
    ],
)
def test_a_workload(programs, device, flags, command):
    dry = programs.run("xpk.sh", "--dry-run", *RUN, **PLACE, **device)
    assert dry.returncode == 0
    assert programs.calls() == []
    assert programs.run("xpk.sh", *RUN, **PLACE, **device).returncode == 0
    (call,) = programs.calls()
    assert shlex.split(dry.stdout) == call
    assert call[:3] == ["xpk", "workload", "create"]
    where = ["--workload=n", "--cluster=c", "--project=p", "--zone=z"]
    rest = ["--docker-image=i", "--max-restarts=10", "--restart-on-exit-codes=1"]
    assert set(where + flags + rest) < set(call)
    assert call[-1] == f"--command={command}"


@pytest.mark.parametrize(
    ("words", "variables", "said"),
    [
        (RUN, {"TPU": "v5e", "GPU": "h100"}, "set TPU or GPU, one of the two"),
        (RUN, {}, "set TPU or GPU, one of the two"),
        (RUN, {"TPU": "v5e", "IMAGE": ""}, "IMAGE is not set"),
        (["--config", "a"], {"TPU": "v5e"}, "give --workdir gs://BUCKET/DIR"),
        ([*RUN, "it's"], {"TPU": "v5e"}, "it's: has quotes"),
        ([*RUN, "a$(b)"], {"TPU": "v5e"}, "a$(b): has quotes, $"),
    ],
)
def test_mistakes_call_nothing(programs, words, variables, said):
    done = programs.run("xpk.sh", *words, **PLACE | variables)
    assert done.returncode == 2
    assert said in done.stderr
    assert programs.calls() == []
