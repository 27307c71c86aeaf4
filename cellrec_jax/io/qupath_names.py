"""Names of classes as QuPath itself has them, by which it counts positive cells.

QuPath shows "Positive %" of objects whose class, or the last part of it, is called
Positive or Negative, written so.

References:
  https://qupath.readthedocs.io/en/stable/docs/concepts/classifications.html
"""

from collections.abc import Mapping, Sequence
import re

_SIGNS = {
    "positive": "Positive",
    "pos": "Positive",
    "negative": "Negative",
    "neg": "Negative",
}
_TUMOUR = ("tumor", "tumour")
_BETWEEN = re.compile(r"[\s:._-]+")


def qupath_names(class_names: Sequence[str]) -> tuple[str, ...]:
    """K names: of classes that are called positive or negative alone, QuPath's.

    So are "tumour_pos" and the like, which become "Tumor: Positive". Others, and all
    where two would have one name, are as they are.

    Example:
      >>> qupath_names(["positive", "neg", "tumour_pos", "Other"])
      ('Positive', 'Negative', 'Tumor: Positive', 'Other')
    """
    found = tuple(map(_name, class_names))
    return found if len(set(found)) == len(found) else tuple(class_names)


def own_names(class_names: Sequence[str]) -> dict[str, str]:
    """Name in QuPath -> name, of those that differ."""
    pairs = zip(qupath_names(class_names), class_names, strict=True)
    return {there: own for there, own in pairs if there != own}


def metadata(class_names: Sequence[str]) -> dict[str, dict[str, str]]:
    """What a file with QuPath's names tells of ours; nothing where they are alike."""
    own = own_names(class_names)
    return {"class_names": own} if own else {}


def restored(names: Sequence[str], own: Mapping[str, str]) -> tuple[str, ...]:
    """Names as they were before `qupath_names`; `own` as of `own_names`."""
    return tuple(own.get(name, name) for name in names)


def _name(name: str) -> str:
    words = [word for word in _BETWEEN.split(name.strip().lower()) if word]
    signs = [_SIGNS[word] for word in words if word in _SIGNS]
    others = [word for word in words if word not in _SIGNS]
    if len(signs) != 1 or len(others) > 1 or not set(others) <= set(_TUMOUR):
        return name
    return f"Tumor: {signs[0]}" if others else signs[0]
