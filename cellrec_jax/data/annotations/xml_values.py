"""Numbers in XML elements."""

import math
from xml.etree.ElementTree import Element

from cellrec_jax.errors import DataError

_FARTHEST = 1e9


def number(element: Element, key: str, where: str, default: float = math.nan) -> float:
    """An attribute as a finite number; a `DataError` says where it is none."""
    text = element.get(key)
    return value(text, f"{where}: {key} of a <{element.tag}>", default)


def value(text: str | None, what: str, default: float = math.nan) -> float:
    """A text as a finite number, `default` where there is none if that is one."""
    try:  # some write the decimals of their country
        found = float(text.replace(",", ".")) if text and text.strip() else default
    except ValueError:
        found = math.nan
    if not abs(found) < _FARTHEST:
        raise DataError(f"{what} is {text!r}, no number: mend it or export it again")
    return found
