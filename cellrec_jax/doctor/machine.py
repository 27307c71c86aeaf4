"""Versions, devices, memory, disk and readers of this machine, as JSON holds them."""

from collections import Counter
import importlib
import importlib.metadata
import importlib.util
from pathlib import Path
import platform
from typing import Any

from cellrec_jax import __version__, startup
from cellrec_jax.data import cores
from cellrec_jax.data.pixels import files as pixel_files
from cellrec_jax.data.pixels import slides
from cellrec_jax.doctor import host

PACKAGES = (
    *("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy", "scipy"),
    *("pillow", "tifffile", "imagecodecs", "openslide-python", "openslide-bin"),
)
_TENSORFLOW = ("tensorflow", "tensorflow-cpu")
"""Packages that have a module of the first one's name."""
_EXTRAS = {
    "pandas": ("`Cells.to_pandas`", "pip install 'pandas>=2'", ("pandas",)),
    "pyarrow": (
        "tables of slides as Parquet",
        "pip install 'cellrec_jax[parquet]'",
        ("pyarrow",),
    ),
    "gcs": (
        "gs://",
        "pip install google-cloud-storage gcsfs",
        ("google-cloud-storage", "gcsfs"),
    ),
}
"""Name -> what it is for, how it is installed, its packages."""


def facts(cache: str = "") -> dict[str, Any]:
    """All of it; `cache` is the flag `--cache`. Sizes are in bytes, 0 is unknown.

    TensorFlow is not imported. Where JAX has no devices, `devices_error` says why.
    """
    found, why = _devices()
    memory = host.memory()
    here = Path.cwd()
    return {
        "versions": versions(),
        "platform": platform.platform(),
        "devices": found,
        "devices_error": why,
        "cores": cores.num_cores(),
        "memory": {"total": memory.total, "free": memory.free},
        "disk": {"folder": str(here), "free": host.free_disk(here)},
        "compiled": _compiled(cache),
        "readers": {
            "images": list(pixel_files.IMAGE_ENDINGS),
            "slides": [
                ending
                for ending in slides.SLIDE_ENDINGS
                if ending not in slides.UNREAD_ENDINGS
            ],
        },
        "extras": _extras(),
    }


def versions() -> dict[str, str | None]:
    """Package -> its version, None where it is not there."""
    found: dict[str, str | None] = {"cellrec_jax": __version__}
    found["python"] = platform.python_version()
    found |= {name: _version(name) for name in PACKAGES}
    found["openslide library"] = _openslide()
    found["tensorflow"] = None
    if importlib.util.find_spec("tensorflow"):
        known = filter(None, map(_version, _TENSORFLOW))
        found["tensorflow"] = next(known, "of unknown version")
    return found


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _openslide() -> str | None:
    """The version of the library behind the package, which may lack it."""
    try:
        return importlib.import_module("openslide").__library_version__
    except (ImportError, OSError):
        return None


def _devices() -> tuple[list[dict[str, Any]], str]:
    """Kinds of devices of this process, and why there are none."""
    import jax

    try:
        startup.check_devices()
        own = jax.local_devices()
    except Exception as error:  # of the plugin of a device
        return [], str(error).strip().partition("\n")[0] or type(error).__name__
    numbers = Counter((one.platform, one.device_kind) for one in own)
    firsts = {(one.platform, one.device_kind): one for one in reversed(own)}
    return [
        {"platform": kind[0], "kind": kind[1], "count": count, **_memory(firsts[kind])}
        for kind, count in numbers.items()
    ], ""


def _memory(device: Any) -> dict[str, int]:
    """Of one device, as far as it tells."""
    try:
        stats = device.memory_stats() or {}
    except Exception:  # not every plugin has it
        stats = {}
    total = stats.get("bytes_limit", 0)
    free = max(total - stats.get("bytes_in_use", 0), 0)
    return {"memory": total, "free": free}


def _compiled(cache: str) -> dict[str, Any]:
    """Where compiled programs are kept, and how much of them."""
    folder = startup.compiled_folder(cache)
    if folder is None:
        return {"folder": None, "size": 0, "files": 0}
    size, number = host.folder_size(folder)
    return {"folder": str(folder), "size": size, "files": number}


def _extras() -> dict[str, dict[str, Any]]:
    return {
        name: {
            "for": purpose,
            "versions": {package: _version(package) for package in packages},
            "install": command,
        }
        for name, (purpose, command, packages) in _EXTRAS.items()
    }
