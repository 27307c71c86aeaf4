"""What results were made with: kept beside them, and compared before adding to them."""

from collections.abc import Collection, Mapping
import hashlib
import importlib.metadata
import json
import platform
from typing import Any

from etils import epath
import jax
import numpy as np

from cellrec_jax import __version__, errors
from cellrec_jax.io import atomic
from cellrec_jax.predict.options import ImageOptions
from cellrec_jax.workdir.model import Model

FILE = "predict.json"
_MADE_BY = "cellrec_jax"
_PACKAGES = ("jax", "jaxlib", "numpy")


def settings(model: Model, options: ImageOptions) -> dict[str, Any]:
    """What decides the cells of an image, and their form: JSON.

    Results of two such settings do not belong into one folder.
    """
    return {
        **of_model(model),
        "mpp": options.mpp,
        "margin_px": options.margin_px,
        "geometry": options.geometry,
        # Earlier folders do not know these.
        **({"mpp_all": True} if options.mpp_for_all else {}),
        **({"all_scores": True} if options.all_scores else {}),
        **({"scale": options.scale} if options.scale else {}),
    }


def of_model(model: Model) -> dict[str, Any]:
    """What of these belongs to the model: JSON."""
    decode = model.meta["decode"]
    return {
        "method": model.experiment.method,
        "weights": _digest((model.params, model.model_state)),
        "thresholds": dict(zip(model.class_names, decode["thresholds"], strict=True)),
        "min_distance_px": decode["min_distance"],
        "native_hw": [int(side) for side in model.meta["native_hw"]],
        "mpp_trained": model.meta["mpp"],
        **_views(model),  # earlier folders do not know them
    }


def _views(model: Model) -> dict[str, Any]:
    config = model.experiment.eval
    if model.once() is model:
        return {}
    return {"views": config.views, "view_scales": list(config.view_scales)}


def thresholds_from(model: Model) -> dict[str, str]:
    """Class -> where its threshold comes from, in words."""
    return dict(zip(model.class_names, model.threshold_sources(), strict=True))


def metadata(model: Model, mpp: float) -> dict[str, Any]:
    """What a GeoJSON file says of the model: JSON."""
    cuts = zip(model.class_names, model.meta["decode"]["thresholds"], strict=True)
    return {
        "made_by": f"{_MADE_BY} {__version__}",
        "method": model.experiment.method,
        "step": model.step,
        "thresholds": dict(cuts),
        "thresholds_from": thresholds_from(model),
        "mpp": mpp,
    }


def write(
    output: epath.Path,
    model: Model,
    used: Mapping[str, Any],
    state: Mapping[str, Any],
) -> None:
    """Writes predict.json: model, `used` settings, `state` of the work, versions."""
    content = {
        "made_by": _MADE_BY,
        "model": {
            "method": model.experiment.method,
            "workdir": str(model.workdir or ""),
            "step": model.step,
            "total_steps": model.experiment.total_steps,
            "classes": list(model.class_names),
        },
        "settings": dict(used),
        "thresholds_from": thresholds_from(model),
        **state,
        "versions": {
            _MADE_BY: __version__,
            "python": platform.python_version(),
            **{name: importlib.metadata.version(name) for name in _PACKAGES},
        },
    }
    # In ASCII, so that names that are not UTF-8 come back as they were.
    text = json.dumps(content, indent=2)
    atomic.write_bytes(output / FILE, text.encode("ascii") + b"\n")


def require_same(
    output: epath.Path,
    used: Mapping[str, Any],
    begun: bool,
    free: Collection[str] = (),
) -> bool:
    """Whether a folder's results are known to be of the settings `used`.

    Those of the names `free` decided nothing of these results, and may be others.
    ConfigError if it has `begun` with others, or if its predict.json is another
    program's or cannot be read.
    """
    try:
        stored = json.loads((output / FILE).read_bytes())
    except FileNotFoundError:
        return False
    except (OSError, ValueError) as error:
        raise errors.ConfigError(
            f"{output / FILE} cannot be read ({error}): choose another --output"
        ) from error
    if not isinstance(stored, dict) or stored.get("made_by") != _MADE_BY:
        raise errors.ConfigError(
            f"{output / FILE} is of another program: choose another --output"
        )
    differing = differences(
        stored.get("settings", {}), used, free=free, model=stored.get("model")
    )
    if differing and begun:
        raise errors.ConfigError(
            f"{output} holds results of other settings: {'; '.join(differing)}; choose "
            "another --output, or delete that folder"
        )
    return not differing


def differences(
    before: Mapping[str, Any],
    used: Mapping[str, Any],
    *,
    free: Collection[str] = (),
    model: Any = None,
) -> list[str]:
    """What to tell of each setting that is another; `free` as of `require_same`.

    `model` is what predict.json says of the one that weights were of before, if known.
    """
    now = json.loads(json.dumps(used))
    return [
        _differing(key, before.get(key), now.get(key), model)
        for key in sorted((before.keys() | now.keys()) - set(free))
        if before.get(key) != now.get(key)
    ]


def _differing(key: str, there: Any, now: Any, model: Any) -> str:
    """What to tell of a setting; of weights, which are a hash, whose they were."""
    if key != "weights" or not isinstance(model, dict):
        return f"{key} ({word(there)} there, {word(now)} now)"
    there = f"{model.get('workdir')} at step {model.get('step')}"
    return f"weights (of {there} there, others now)"


def word(value: Any) -> str:
    """A setting as a person reads it.

    Example:
      >>> word({"a": 0.3, "b": None}), word([640, 480])
      ('a 0.3, b off', '640 x 480')
    """
    if value is None or isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, dict):
        return ", ".join(f"{key} {word(one)}" for key, one in value.items())
    return " x ".join(map(word, value)) if isinstance(value, list) else str(value)


def scale_of(output: epath.Path) -> float:
    """The scale that was chosen for images that are in a folder; 0 for none."""
    try:
        return float(told(output)["settings"].get("scale", 0.0))
    except (ValueError, TypeError, KeyError, AttributeError):
        return 0.0


def told(output: epath.Path) -> dict[str, Any]:
    """What results say of themselves; nothing where they do not."""
    try:
        stored = json.loads((output / FILE).read_bytes())
    except (OSError, ValueError):
        return {}
    return stored if isinstance(stored, dict) else {}


def _digest(weights: Any) -> str:
    """Short hash of weights; equal ones have equal hashes."""
    found = hashlib.blake2b(digest_size=8)
    for leaf in jax.tree.leaves(jax.device_get(weights)):
        array = np.asarray(leaf)
        found.update(f"{array.dtype} {array.shape}".encode())
        found.update(array.tobytes())
    return found.hexdigest()
