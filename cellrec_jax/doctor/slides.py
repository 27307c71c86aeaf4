"""Whole slides, where their reader is there."""

from collections.abc import Sequence
import importlib
import importlib.util
from pathlib import PurePath
from typing import Any

_READER = "cellrec_jax.data.pixels.slides"


def reader() -> Any:
    """The module that reads slides, or None."""
    known = importlib.util.find_spec(_READER)
    return importlib.import_module(_READER) if known else None


def endings() -> Sequence[str]:
    """How names of slides end."""
    return getattr(reader(), "SLIDE_ENDINGS", ())


def is_slide(path: PurePath) -> bool:
    """Whether the reader of slides takes a file."""
    found = reader()
    return found is not None and found.is_slide(path)
