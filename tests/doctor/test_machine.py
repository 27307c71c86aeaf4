"""Versions, devices and extras of this machine."""

from types import SimpleNamespace

import jax
import numpy as np

from cellrec_jax import startup
from cellrec_jax.doctor import host, machine, text


def test_versions_of_what_is_there_and_what_is_not(monkeypatch):
    monkeypatch.setattr(machine, "PACKAGES", ("numpy", "no-such-package"))
    found = machine.versions()
    assert found["numpy"] == np.__version__
    assert found["no-such-package"] is None
    known = machine.importlib.util.find_spec
    monkeypatch.setattr(
        machine.importlib.util,
        "find_spec",
        lambda name: None if name == "tensorflow" else known(name),
    )
    assert machine.versions()["tensorflow"] is None


def test_devices_are_counted_by_kind(monkeypatch):
    def device(kind, stats):
        return SimpleNamespace(
            platform="gpu", device_kind=kind, memory_stats=lambda: stats
        )

    stats = {"bytes_limit": 3 * 2**30, "bytes_in_use": 2**30}
    own = [device("H200", stats), device("H200", {}), device("A", None)]
    monkeypatch.setattr(jax, "local_devices", lambda: own)
    found = machine.facts("off")
    assert found["devices"] == [
        {
            "platform": "gpu",
            "kind": "H200",
            "count": 2,
            "memory": 3 * 2**30,
            "free": 2 * 2**30,
        },
        {"platform": "gpu", "kind": "A", "count": 1, "memory": 0, "free": 0},
    ]
    lines = "\n".join(text.of_machine(found))
    assert "2 x H200 (gpu), each 2.0 GiB free of 3.0 GiB" in lines
    assert "1 x A (gpu)\n" in lines


def test_kept_programs_are_where_the_others_keep_them(tmp_path, monkeypatch):
    monkeypatch.delenv("JAX_COMPILATION_CACHE_DIR", raising=False)
    folder = startup.compiled_folder(str(tmp_path))
    empty = {"folder": str(folder), "size": 0, "files": 0}
    assert machine.facts(str(tmp_path))["compiled"] == empty
    assert not folder.exists()
    folder.mkdir()
    (folder / "program").write_bytes(b"1234")
    assert machine.facts(str(tmp_path))["compiled"] == {**empty, "size": 4, "files": 1}
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", "/elsewhere")
    assert machine.facts()["compiled"]["folder"] == "/elsewhere"


def test_an_extra_is_there_with_all_its_packages(monkeypatch):
    found = {"google-cloud-storage": "3.0", "gcsfs": None, "pyarrow": "20.0"}
    monkeypatch.setattr(machine, "_version", found.get)
    monkeypatch.setattr(machine.host, "memory", lambda: host.Memory(0, 0))
    lines = text.of_machine(machine.facts("off"))
    (gcs,) = [line for line in lines if line.startswith("  gcs ")]
    assert gcs.endswith("pip install google-cloud-storage gcsfs")
    (pyarrow,) = [line for line in lines if line.startswith("  pyarrow ")]
    assert pyarrow.endswith("pyarrow 20.0")
    (memory,) = [line for line in lines if line.startswith("  memory ")]
    assert memory.endswith("unknown free of unknown")
