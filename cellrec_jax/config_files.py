"""Configurations of files, by path or shipped name, and of trained work directories."""

from collections.abc import Mapping
import importlib.util
from pathlib import Path
import types

from etils import epath
from ml_collections import ConfigDict

from cellrec_jax import config, errors, methods
from cellrec_jax.config import keys, overrides


def find(name: str) -> Path:
    """Finds a config file by path or shipped name; ConfigError names all shipped."""
    path = Path(name).expanduser()
    if path.is_file():
        return path
    names = _files()
    if path.name == name and path.stem in names:  # a path is meant literally
        return names[path.stem]
    raise errors.ConfigError(
        f"--config {name}: no such file, and none shipped by that name; there are "
        f"{', '.join(names)}"
    )


def load(flag: str) -> ConfigDict:
    """Runs `get_config(preset)` of `FILE[:PRESET]`; ConfigError if one is missing."""
    name, _, preset = flag.partition(":")
    path = find(name)
    module = _module(path)
    if not hasattr(module, "get_config"):
        raise errors.ConfigError(f"{path}: defines no get_config(preset)")
    known = getattr(module, "PRESETS", None)
    if preset and known is not None and preset not in known:
        names = ", ".join(f":{one}" for one in known if one)
        raise errors.ConfigError(f"no preset :{preset}; there are {names or 'none'}")
    return module.get_config(preset)


def shipped() -> dict[str, str]:
    """Name, as for `--config`, -> what it is, of all that the package has."""
    return {
        f"{name}:{preset}".rstrip(":"): what
        for name, path in _files().items()
        for preset, what in _module(path).PRESETS.items()
    }


def lines(flag: str | None, pairs: Mapping[str, str]) -> list[str]:
    """Configs and presets, a line each; of one of them, every key."""
    if flag:
        return list(keys.lines(experiment(flag, pairs)))
    configs = shipped()
    width = max(map(len, configs))
    return [f"{name:<{width}}  {what}" for name, what in configs.items()]


def experiment(flag: str, pairs: Mapping[str, str]) -> config.Experiment:
    """Config file, then overrides, then everything checked that can be."""
    return _overridden(load(flag), pairs)


def stored(workdir: epath.Path, pairs: Mapping[str, str]) -> config.Experiment:
    """The configuration of a trained work directory or model file, with overrides.

    CheckpointError where it has none.
    """
    from cellrec_jax.workdir import model_file, writer

    if model_file.is_one(workdir):
        found = model_file.read_card(workdir)["meta"]["config"]
    else:
        found = writer.read_json(workdir / "config.json")
    if not isinstance(found, dict):
        raise errors.CheckpointError(
            f"--workdir {workdir}: holds no config.json; train there first"
        )
    settings = ConfigDict(config.to_json(methods.from_json(found))).lock()
    return _overridden(settings, pairs)


def _overridden(settings: ConfigDict, pairs: Mapping[str, str]) -> config.Experiment:
    for key, text in pairs.items():
        overrides.override(settings, key, text)
    return methods.freeze(settings)


def _files() -> dict[str, Path]:
    """Name -> file of the package's configs."""
    here = Path(__file__).parent
    folder = here / "configs"  # of a wheel
    folder = folder if folder.is_dir() else here.parent / "configs"  # of a checkout
    return {path.stem: path for path in sorted(folder.glob("*.py"))}


def _module(path: Path) -> types.ModuleType:
    spec = importlib.util.spec_from_file_location(f"_config_{path.stem}", path)
    assert spec is not None  # a .py file always has one
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
