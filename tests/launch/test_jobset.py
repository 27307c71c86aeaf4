"""JobSets as their head says to apply them: fields that the API has, and what fits."""

from pathlib import Path
import re
import subprocess
import sys

from jax._src.clusters import cloud_tpu_cluster
import pytest
import yaml

from tests.launch.jobset_fields import ANY, CHOICES, JOBSET

LAUNCH = Path(__file__).parents[2] / "launch"
FILES = ("jobset.yaml", "jobset_gpu.yaml")
ENVSUBST = f"""#!{sys.executable} -SE
import os, string, sys
sys.stdout.write(string.Template(sys.stdin.read()).substitute(os.environ))
"""


def faults(value, fields, place=""):
    """Places that differ from the table of fields."""
    if isinstance(fields, type):
        fits = type(value) is fields or fields is ANY
        if fits and place in CHOICES:
            fits = value in CHOICES[place]
        return [] if fits else [f"{place}: {value!r}"]
    if isinstance(fields, list):
        items = value if isinstance(value, list) and value else [None]
        return [one for item in items for one in faults(item, fields[0], place)]
    if not isinstance(value, dict):
        return [f"{place}: {value!r}"]
    known = {name.rstrip("!"): below for name, below in fields.items()}
    needed = {name[:-1] for name in fields if name.endswith("!")}
    found = [f"{place}.{name}" for name in (value.keys() - known.keys())]
    found += [f"{place}.{name} is missing" for name in needed - value.keys()]
    for name in value.keys() & known.keys():
        found += faults(value[name], known[name], f"{place}.{name}")
    return found


def commands(path):
    """The commands that the head of a file gives."""
    return "\n".join(re.findall(r"^#   (.*)$", path.read_text(), re.MULTILINE))


@pytest.fixture(params=FILES)
def applied(request, programs, environment):
    """What kubectl is given by the commands of the head, in the checkout."""
    (programs.folder / "kubectl").write_text(
        '#!/bin/sh\ntest "$*" = "apply -f -" && cat'
    )
    (programs.folder / "envsubst").write_text(ENVSUBST)  # fails for what is not set
    (programs.folder / "envsubst").chmod(0o755)
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", commands(LAUNCH / request.param)],
        env=environment,
        cwd=LAUNCH.parent,
        capture_output=True,
        text=True,
        check=True,
    )
    return yaml.safe_load(done.stdout)


@pytest.mark.parametrize("name", FILES)
def test_a_forgotten_variable_applies_nothing(programs, environment, name):
    text = commands(LAUNCH / name)
    used = sorted(set(re.findall(r"\$\{(\w+)\}", (LAUNCH / name).read_text())))
    assert len(used) > 7
    for variable in used:
        done = subprocess.run(
            ["bash", "-c", re.sub(rf" {variable}=\S+", " NONE=", text)],
            env=environment,
            cwd=LAUNCH.parent,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode != 0
        assert f"{variable}: unbound variable" in done.stderr
    assert programs.calls() == []


def test_fields_are_those_of_the_api(applied):
    assert applied["apiVersion"] == "jobset.x-k8s.io/v1alpha2"
    assert applied["kind"] == "JobSet"
    assert faults(applied, JOBSET) == []


def test_the_table_of_fields_finds_faults():
    text = (LAUNCH / "jobset.yaml").read_text()
    text = text.replace("${HOSTS}", "2").replace("backoffLimit", "backOffLimit")
    text = text.replace("containers:", "x:").replace("Indexed", "indexed")
    text = text.replace("GracePeriodSeconds: 300", "GracePeriodSeconds: 5m")
    place = ".spec.replicatedJobs.template.spec"
    assert set(faults(yaml.safe_load(text), JOBSET)) == {
        f"{place}.backOffLimit",
        f"{place}.completionMode: 'indexed'",
        f"{place}.template.spec.x",
        f"{place}.template.spec.containers is missing",
        f"{place}.template.spec.terminationGracePeriodSeconds: '5m'",
    }


def parts(applied):
    """The replicated job, its Job, its pods and their container."""
    (replicated,) = applied["spec"]["replicatedJobs"]
    job = replicated["template"]["spec"]
    pod = job["template"]["spec"]
    (container,) = pod["containers"]
    return replicated, job, pod, container


def test_usage_ends_and_all_else_starts_again(applied):
    """Of a pod that fails the Job fails; but for code 2 JobSet makes all Jobs anew."""
    _, job, pod, container = parts(applied)
    assert (job["backoffLimit"], pod["restartPolicy"]) == (0, "Never")
    (rule,) = job["podFailurePolicy"]["rules"]
    assert rule["action"] == "FailJob"
    assert rule["onExitCodes"] == {
        "containerName": container["name"],
        "operator": "In",
        "values": [2],
    }
    policy = applied["spec"]["failurePolicy"]
    (ends,) = policy["rules"]
    assert ends["action"] == "FailJobSet"
    assert ends["onJobFailureReasons"] == ["PodFailurePolicy"]
    assert policy["maxRestarts"] > 0


def test_hosts_run_one_program_and_mount_what_there_is(applied):
    _, job, pod, container = parts(applied)
    assert job["completionMode"] == "Indexed"
    assert job["parallelism"] == job["completions"] > 1
    assert container["args"] == [
        "--config=ki67_bde",
        "--config.data.root=/data/images",
        "--workdir=/data/runs/ki67",
        "--config.batch_size=16",
    ]
    mounts = container["volumeMounts"]
    assert {one["name"] for one in mounts} == {one["name"] for one in pod["volumes"]}
    assert "/data" in {one["mountPath"] for one in mounts}
    assert {"name": "XDG_CACHE_HOME", "value": "/data/cache"} in container["env"]


def test_gpu_processes_find_the_first_pod(applied):
    replicated, job, _, container = parts(applied)
    told = {one["name"]: one for one in container["env"]}
    if "google.com/tpu" in container["resources"]["limits"]:  # GKE tells its own
        assert not [name for name in told if name.startswith("JAX_")]
        ports = [one["containerPort"] for one in container["ports"]]
        assert int(cloud_tpu_cluster.coordinator_port) in ports
        return
    name = applied["metadata"]["name"]
    host, _, port = told["JAX_COORDINATOR_ADDRESS"]["value"].partition(":")
    assert host == f"{name}-{replicated['name']}-0-0.{name}"
    assert int(port) in [one["containerPort"] for one in container["ports"]]
    assert told["JAX_NUM_PROCESSES"]["value"] == str(job["parallelism"])
    path = told["JAX_PROCESS_ID"]["valueFrom"]["fieldRef"]["fieldPath"]
    assert path == "metadata.annotations['batch.kubernetes.io/job-completion-index']"
