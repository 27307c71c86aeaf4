"""A model in two files: `NAME.safetensors` and, beside it, its card `NAME.json`.

The card is JSON: what the weights are, where they come from, and all that prediction
needs besides them. Parameters are float16 on disk, statistics of norms float32.
"""

from collections.abc import Mapping
import hashlib
import json
from typing import Any

from etils import epath
import jax
import jax.numpy as jnp
import numpy as np
import safetensors
import safetensors.numpy

from cellrec_jax import errors
from cellrec_jax.io import atomic

SUFFIX = ".safetensors"
_FORMAT = 1
_KEYS = ("name", "what", "classes", "data", "scores", "command", "step", "meta")
_PARTS = {
    "meta": ("config", "class_names", "native_hw", "mpp", "decode"),
    "weights": ("sha256", "bytes"),
}
_LARGEST = np.finfo(np.float16).max


def is_one(path: epath.Path) -> bool:
    """Whether a path names a model file rather than a work directory."""
    return path.suffix == SUFFIX


def card_of(path: epath.Path) -> epath.Path:
    """Where the card of a model file lies."""
    return path.with_suffix(".json")


def read_card(path: epath.Path) -> dict[str, Any]:
    """The card of a model file; CheckpointError if there is none, or another JSON."""
    file = card_of(path)
    try:
        card = json.loads(file.read_bytes())
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise errors.CheckpointError(
            f"{file}: the card of {path.name} cannot be read ({reason}); fetch both "
            "files again"
        ) from error
    if not isinstance(card, dict) or card.get("format") != _FORMAT:
        raise errors.CheckpointError(
            f"{file}: is no card of a model that this version reads"
        )
    missing = [key for key in (*_KEYS, "weights") if key not in card]
    for part, keys in _PARTS.items():
        inner = card.get(part)
        if isinstance(inner, dict):
            missing += [f"{part}.{key}" for key in keys if key not in inner]
        elif part in card:
            missing.append(f"an object as {part}")
    if missing:
        raise errors.CheckpointError(f"{file}: lacks {', '.join(missing)}")
    return card


def read(path: epath.Path, card: Mapping[str, Any], spec: Any) -> Any:
    """Arrays of a model file, as the tree `spec` of shapes and types.

    CheckpointError if its bytes are not those of the card, or its arrays not of `spec`.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise errors.CheckpointError(
            f"{path}: cannot be read ({error.strerror})"
        ) from error
    wanted = card["weights"]
    if len(content) != wanted["bytes"]:
        raise errors.CheckpointError(
            f"{path}: {len(content)} bytes are not the {wanted['bytes']} that "
            f"{card_of(path).name} tells of: truncated; fetch both again"
        )
    if _sha256(content) != wanted["sha256"]:
        raise errors.CheckpointError(
            f"{path}: its checksum is not that of {card_of(path).name}: its bytes were "
            "changed; fetch both again"
        )
    try:
        arrays = safetensors.numpy.load(content)
    except (safetensors.SafetensorError, KeyError, ValueError) as error:
        raise errors.CheckpointError(f"{path}: cannot be read ({error})") from error
    named = {name: leaf.shape for name, leaf in _leaves(spec)}
    if {name: array.shape for name, array in arrays.items()} != named:
        raise errors.CheckpointError(
            f"{path}: its arrays are not those of {card['meta']['config']['method']}: "
            "it is of another version"
        )
    found = [jnp.asarray(arrays[name], leaf.dtype) for name, leaf in _leaves(spec)]
    return jax.tree.unflatten(jax.tree.structure(spec), found)


def write(
    path: epath.Path, card: Mapping[str, Any], params: Any, model_state: Any
) -> None:
    """Writes weights and card; each whole, the card last.

    ConfigError where one of them is there already, RunError if it cannot be written.
    """
    for file in (path, card_of(path)):
        if file.exists():
            raise errors.ConfigError(f"--output {file}: is there; choose another name")
    tree = {"params": jax.tree.map(_narrowed, params), "model_state": model_state}
    arrays = {name: np.asarray(leaf, order="C") for name, leaf in _leaves(tree)}
    content = safetensors.numpy.save(arrays)
    weights = {"sha256": _sha256(content), "bytes": len(content)}
    told = {"format": _FORMAT, **card, "weights": weights}
    atomic.write_bytes(path, content)
    atomic.write_bytes(card_of(path), json.dumps(told, indent=2).encode() + b"\n")


def _narrowed(leaf: Any) -> np.ndarray:
    """As float16, where it is of numbers that float16 has."""
    array = np.asarray(leaf)
    fits = array.dtype == np.float32 and np.abs(array).max(initial=0) <= _LARGEST
    return array.astype(np.float16) if fits else array


def _leaves(tree: Any) -> list[tuple[str, Any]]:
    leaves = jax.tree_util.tree_flatten_with_path(tree)[0]
    keystr = jax.tree_util.keystr
    return [(keystr(path, simple=True, separator="/"), leaf) for path, leaf in leaves]


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
