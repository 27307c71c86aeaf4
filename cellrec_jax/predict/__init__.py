"""Images and slides to cells, for users and for evaluation alike."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cellrec_jax.predict.files import Outcome, predict_files
    from cellrec_jax.predict.inputs import find_inputs
    from cellrec_jax.predict.predictor import Predictor, load

__all__ = ["Outcome", "Predictor", "find_inputs", "load", "predict_files"]

_MODULES = {
    **{"Outcome": "files", "predict_files": "files", "find_inputs": "inputs"},
    **{"Predictor": "predictor", "load": "predictor"},
}


def __getattr__(name: str) -> Any:
    """Imports what is asked for: `compiled` alone needs neither Pillow nor orjson."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)
