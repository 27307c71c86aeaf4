"""Where score thresholds come from, in words."""

from collections.abc import Mapping, Sequence
from typing import Any


def fixed(decode: Mapping[str, Any], threshold: float) -> dict[str, Any]:
    """The operating point with one threshold of all classes, of the flag."""
    num_classes = len(decode["thresholds"])
    once = decode.get("once")
    return {
        **decode,
        **({"once": fixed(once, threshold)} if once else {}),
        "thresholds": [float(threshold)] * num_classes,
        "intervals": [[None, None]] * num_classes,
        "num_labels": [0] * num_classes,
        "scope": "flag",
    }


def lines(
    decode: Mapping[str, Any], class_names: Sequence[str], origins: Sequence[str]
) -> list[str]:
    """Each class's score threshold, its interval and where it comes from.

    Example:
      >>> lines({"thresholds": [0.3], "intervals": [[0.25, 0.5]]}, ["a"], ["fixed"])
      ['score threshold of a: 0.300 [0.250, 0.500] (fixed)']
    """
    found = []
    intervals = decode.get("intervals", [(None, None)] * len(class_names))
    rows = zip(class_names, decode["thresholds"], intervals, origins, strict=True)
    for name, cut, (low, high), origin in rows:
        between = "" if low is None else f" [{low:.3f}, {high:.3f}]"
        found.append(f"score threshold of {name}: {cut:.3f}{between} ({origin})")
    return found


def sources(
    decode: Mapping[str, Any],
    class_names: Sequence[str],
    *,
    shared: bool = False,
    without_labels: str = "the default",
) -> list[str]:
    """Where the threshold of each of K classes comes from.

    `decode` is an operating point as checkpoints hold it, `shared` whether one
    threshold of all classes was asked for, `without_labels` what to say of none.

    Example:
      >>> sources({"num_labels": [7, 0]}, ["a", "b"])
      ['fitted on 7 validation labels', 'the default']
    """
    kind = "withheld" if decode.get("withheld") else "validation"
    rule = decode.get("rule", "f1")
    by = "" if rule == "f1" else f" by {rule}"
    labels, scope = decode["num_labels"], decode.get("scope", "own")
    total = sum(labels)
    if scope == "flag":
        return ["fixed by --threshold"] * len(labels)
    if scope == "default" and total:
        few = f"the default: {total} {kind} labels are too few to fit it"
        return [f"{few}; --threshold sets another"] * len(labels)
    if scope == "shared":
        fewest = min(range(len(labels)), key=labels.__getitem__)
        few = f"{labels[fewest]} of {class_names[fewest]} are too few for its own"
        text = f"fitted on {total} {kind} labels of all classes{by}"
        return [text if shared else f"{text}: {few}"] * len(labels)
    return [
        f"fitted on {number} {kind} labels{by}" if number else without_labels
        for number in labels
    ]
