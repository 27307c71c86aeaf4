"""Trained models that the package ships, by name.

Each is a model file with its card (`workdir.model_file`) in `weights`.
"""

import os

from etils import epath

from cellrec_jax import errors
from cellrec_jax.workdir import model_file

FOLDER = epath.Path(__file__).parent / "weights"


def shipped() -> dict[str, epath.Path]:
    """Name -> model file, of all that the package has."""
    found = sorted(FOLDER.glob(f"*{model_file.SUFFIX}"))
    return {path.stem: path for path in found}


def named(name: str) -> epath.Path:
    """The model file of a shipped model, or of a path; ConfigError where is none."""
    path = epath.Path(name).expanduser()
    if model_file.is_one(path):
        if path.exists():
            return path
        raise errors.ConfigError(f"--model {name}: there is no such file")
    known = shipped()
    if name in known:
        return known[name]
    there = f"there are {', '.join(known)}" if known else "none are shipped"
    raise errors.ConfigError(
        f"--model {name}: no model of that name; {there}, or give a file "
        f"NAME{model_file.SUFFIX}"
    )


def find(place: str | os.PathLike[str]) -> epath.Path:
    """A work directory or model file, or the shipped model of a name.

    What is there by that name wins.
    """
    path = epath.Path(place).expanduser()
    return path if path.exists() else shipped().get(os.fspath(place), path)


def shadowed(place: str | os.PathLike[str]) -> bool:
    """Whether a place is a shipped model's name, but `find` takes what is there."""
    known = shipped().get(os.fspath(place))
    return known is not None and find(place) != known
