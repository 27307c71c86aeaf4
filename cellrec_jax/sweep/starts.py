"""Weights that runs start from: found, told apart, remembered in a run's folder."""

from collections.abc import Callable, Mapping
import hashlib
from pathlib import Path

import jax
import numpy as np

from cellrec_jax import errors, models
from cellrec_jax.sweep.plan import Row
from cellrec_jax.workdir import model as model_lib
from cellrec_jax.workdir import writer

FILE = "start.json"
"""In the folder of a run that did not start from fresh weights."""


def place(init_from: str) -> str:
    """What --init-from is given: a path from the root on, or a shipped name."""
    path = Path(init_from).expanduser()
    return str(path.absolute()) if path.exists() else init_from


def find(rows: Mapping[str, Row], say: Callable[[str], None]) -> dict[str, str]:
    """What rows start from -> its `identity`; a UserError of that names the row.

    Fresh weights, "", have "". Tells where a folder has the name of a shipped model.
    """
    found = {"": ""}
    for name, row in rows.items():
        if (given := row.init_from) in found:
            continue
        try:
            found[given] = identity(given)
        except errors.UserError as error:
            raise type(error)(f"rows.{name}.init_from: {error}") from error
        if models.shadowed(given):
            say(f"rows.{name}.init_from: {given} is what is there, no shipped model")
    return found


def identity(init_from: str) -> str:
    """Hexadecimal SHA-256 of a model's weights and class names, wherever it lies.

    ConfigError where there is none by that name, CheckpointError if it cannot be read.
    """
    path = models.find(init_from)
    if not path.exists():
        raise errors.ConfigError(
            f"{init_from}: no such model file or work directory, and no shipped model; "
            f"there are {', '.join(models.shipped()) or 'none'}"
        )
    model = model_lib.restore(path)
    digest = hashlib.sha256("\n".join(model.class_names).encode())
    weights = {"params": model.params, "model_state": model.model_state}
    for name, leaf in jax.tree_util.tree_leaves_with_path(weights):
        array = np.asarray(leaf, order="C")
        digest.update(f"{jax.tree_util.keystr(name)} {array.shape}".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


def remember(workdir: Path, init_from: str, weights: str) -> None:
    """Notes the `identity` of what a run starts from; nothing of fresh weights."""
    if weights:
        writer.write_json(workdir / FILE, {"init_from": init_from, "weights": weights})
    else:
        (workdir / FILE).unlink(missing_ok=True)


def remembered(workdir: Path) -> str:
    """The identity that `remember` noted; "" if none."""
    found = writer.read_json(workdir / FILE)
    return str(found.get("weights", "")) if isinstance(found, dict) else ""


def require(workdir: Path, init_from: str, weights: str) -> None:
    """Raises a ConfigError if a run in the folder began with other weights."""
    begun = any(one.name.isdecimal() for one in workdir.rglob("checkpoints/*"))
    if begun and remembered(workdir) != weights:
        wanted = f"those of init_from = {init_from}" if weights else "fresh ones"
        raise errors.ConfigError(
            f"{workdir}: a run there began with other weights than {wanted}; choose "
            "another --workdir, or remove that folder"
        )
