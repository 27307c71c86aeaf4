"""What JAX is told before it is used: where it keeps programs, and what it runs on."""

import errno
import hashlib
import os
from pathlib import Path
import platform

from cellrec_jax import errors

_VARIABLE = "JAX_COMPILATION_CACHE_DIR"


def keep_compiled(flag: str) -> None:
    """Has JAX keep what it compiles, as `--cache` says; ConfigError if it cannot."""
    import jax

    folder = compiled_folder(flag)
    if folder is None:
        jax.config.update("jax_enable_compilation_cache", False)
        return
    if not flag and os.environ.get(_VARIABLE):
        return  # the user told JAX itself
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not os.access(folder, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    except OSError as error:
        if not flag:
            return  # a home that cannot be written to
        raise errors.ConfigError(
            f"--cache {flag}: cannot be written to ({error.strerror}); choose another "
            "folder, or off"
        ) from error
    jax.config.update("jax_compilation_cache_dir", str(folder))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.1)


def compiled_folder(flag: str) -> Path | None:
    """Where compiled programs are kept, as `--cache` says; None where they are not.

    It need not be there. What JAX's own variable names may be in a cloud.
    """
    if flag == "off":
        return None
    if not flag and (own := os.environ.get(_VARIABLE)):
        return Path(own)
    shared = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache")
    return Path(flag or shared / "cellrec_jax").expanduser() / _processor()


def _processor() -> str:
    """Digits of this kind of processor; others crash by what is compiled for it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:  # not Linux
        lines = []
    known = (line for line in lines if line.lower().startswith(("flags", "features")))
    text = next(known, f"{platform.machine()} {platform.processor()}")
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def check_devices() -> None:
    """Makes JAX's devices; a ConfigError names JAX_PLATFORMS if it asks for others."""
    import jax

    wanted = os.environ.get("JAX_PLATFORMS")
    try:
        jax.devices()
    except Exception as error:  # an AssertionError or a RuntimeError
        if not wanted:
            raise
        raise errors.ConfigError(
            f"JAX_PLATFORMS={wanted}: JAX finds no such device; unset the variable, "
            "set JAX_PLATFORMS=cpu, or install JAX's plugin for it (for NVIDIA GPUs: "
            "pip install 'jax[cuda12]')"
        ) from error
