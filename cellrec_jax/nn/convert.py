"""Pretrained ResNet weights under torchvision's names, from files without pickle."""

from collections.abc import Mapping, Sequence
import pathlib
from typing import Any, NamedTuple
import zipfile
import zlib

from flax import traverse_util
import jax.numpy as jnp
import numpy as np
import safetensors
import safetensors.numpy

from cellrec_jax.errors import CheckpointError

SHOWN = 3
"""How many names an error lists of each kind of mismatch."""

_PICKLED = (".pth", ".pt", ".bin", ".ckpt", ".pkl")
_LEAF_NAMES = {
    ("params", "kernel"): "weight",
    ("params", "scale"): "weight",
    ("params", "bias"): "bias",
    ("batch_stats", "mean"): "running_mean",
    ("batch_stats", "var"): "running_var",
}
_IGNORED_PREFIX, _IGNORED_SUFFIX = "fc.", ".num_batches_tracked"


class Pretrained(NamedTuple):
    """Trees with pretrained weights filled in."""

    params: Any
    batch_stats: Any
    report: tuple[str, ...]
    """Lines for the log: what was loaded, what could not be."""


class _Slot(NamedTuple):
    """One array of the model."""

    collection: str
    path: tuple[str, ...]
    shape: tuple[int, ...]


def load_torchvision_resnet(
    path: str | pathlib.Path, params: Any, batch_stats: Any
) -> Pretrained:
    """Fills a `ResNet` from a file of torchvision's state dict; also lines for the log.

    The file is `.safetensors` or `.npz`. A model with GroupNorm (no `batch_stats`) gets
    the convolutions alone. A `CheckpointError` for a file that is missing, pickled or
    truncated, or does not fit.
    """
    path = pathlib.Path(path)
    trees = {
        "params": traverse_util.flatten_dict(params),
        "batch_stats": traverse_util.flatten_dict(batch_stats),
    }
    slots, skipped = _slots(trees)
    arrays = _read(path)
    _check_names(path, set(arrays), set(slots), set(skipped))
    converted = {name: _to_flax(arrays[name]) for name in slots}
    _check_values(path, converted, slots)
    for name, slot in slots.items():
        trees[slot.collection][slot.path] = jnp.asarray(converted[name])
    report = [f"pretrained: {len(slots)} tensors from {path}"]
    if skipped:
        report.append(
            f"pretrained: {len(skipped)} norm tensors keep their initial values, since "
            "BatchNorm's do not fit GroupNorm"
        )
    return Pretrained(
        traverse_util.unflatten_dict(trees["params"]),
        traverse_util.unflatten_dict(trees["batch_stats"]),
        tuple(report),
    )


def check_file(path: str | pathlib.Path) -> None:
    """`CheckpointError` for a weights file that is missing or of a kind not read."""
    path = pathlib.Path(path)
    if path.suffix in _PICKLED:
        target = path.with_suffix(".safetensors")
        raise CheckpointError(
            f"{path} is a pickle, which can run code when opened; convert it once: "
            'python -c "import torch, safetensors.torch as s; s.save_file({k: v for '
            f"k, v in torch.load('{path}', weights_only=True).items()}}, "
            f"'{target}')\""
        )
    if path.suffix not in (".safetensors", ".npz"):
        raise CheckpointError(
            f"{path}: pretrained weights are read from .safetensors or .npz files"
        )
    if not path.is_file():
        raise CheckpointError(f"{path} is no file; check --config.model.pretrained")


def _read(path: pathlib.Path) -> dict[str, np.ndarray]:
    """Reads all arrays of a `.safetensors` or `.npz` file by name."""
    check_file(path)
    try:
        if path.suffix == ".safetensors":
            return dict(safetensors.numpy.load_file(path))
        # np.load leaves a file that it opened itself open when it is no zip archive.
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except (
        safetensors.SafetensorError,
        zipfile.BadZipFile,
        zlib.error,
        EOFError,
        KeyError,  # a number format that NumPy does not have
        OSError,
        RuntimeError,  # an encrypted archive, or an unknown compression
        ValueError,
        TypeError,  # np.load gives a bare array, which is no context manager
    ) as error:
        reason = " ".join(str(error).split())
        raise CheckpointError(
            f"{path} cannot be read ({reason}); it may be truncated: fetch it again"
        ) from error


def _slots(
    trees: Mapping[str, Mapping[tuple[str, ...], Any]],
) -> tuple[dict[str, _Slot], list[str]]:
    """What the model wants, by torchvision's names, and norms without statistics."""
    slots, skipped = {}, []
    with_stats = {path[:-1] for path in trees["batch_stats"]}
    for collection, tree in trees.items():
        for path, leaf in tree.items():
            *modules, kind = path
            name = ".".join(
                [
                    *(module.replace("_", ".") for module in modules),
                    _LEAF_NAMES[collection, kind],
                ]
            )
            if kind in ("scale", "bias") and path[:-1] not in with_stats:
                skipped.append(name)
            else:
                slots[name] = _Slot(collection, path, leaf.shape)
    return slots, skipped


def _check_names(
    path: pathlib.Path, found: set[str], wanted: set[str], skipped: set[str]
) -> None:
    """Raises CheckpointError if the file holds other names than the model wants."""
    norm_modules = {name.rpartition(".")[0] for name in skipped}
    unexpected = {
        name
        for name in found - wanted
        if not name.startswith(_IGNORED_PREFIX)
        and not name.endswith(_IGNORED_SUFFIX)
        and name.rpartition(".")[0] not in norm_modules
    }
    faults = [
        f"{len(names)} {what} ({_shorten(sorted(names))})"
        for what, names in (("missing", wanted - found), ("unexpected", unexpected))
        if names
    ]
    if faults:
        raise CheckpointError(
            f"{path} does not fit model.backbone: {', '.join(faults)}; expected are "
            "torchvision's names of the same ResNet"
        )


def _check_values(
    path: pathlib.Path, converted: Mapping[str, np.ndarray], slots: Mapping[str, _Slot]
) -> None:
    """Raises CheckpointError for wrong shapes and for values that are not finite."""
    wrong = [
        f"{name}: {tuple(converted[name].shape)} in the file, {slot.shape} in the model"
        for name, slot in slots.items()
        if converted[name].shape != slot.shape
    ]
    if wrong:
        raise CheckpointError(
            f"{path} does not fit model.backbone: {len(wrong)} shapes differ, in flax "
            f"order ({_shorten(wrong)})"
        )
    bad = [name for name, array in converted.items() if not np.isfinite(array).all()]
    if bad:
        raise CheckpointError(
            f"{path} holds NaN or infinite values ({_shorten(bad)}); fetch it again"
        )


def _shorten(items: Sequence[str]) -> str:
    """Joins the first few of a long list."""
    more = ["..."] if len(items) > SHOWN else []
    return ", ".join([*items[:SHOWN], *more])


def _to_flax(array: np.ndarray) -> np.ndarray:
    """Float32, with convolution kernels turned from OIHW to HWIO."""
    array = np.asarray(array, np.float32)
    return array.transpose(2, 3, 1, 0) if array.ndim == 4 else array
