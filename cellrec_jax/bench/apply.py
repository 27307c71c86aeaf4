"""`python -m cellrec_jax.bench apply FILE`: sets what is chosen by measurement.

FILE is gpu_checks.json of `bench device`. Of its platform `DENSE_UP_TO` of
losses/density.py becomes where sorting starts to win, `HOST_BELOW` of ops/matching.py
where matching on the host does. Only parts that ended well count.
"""

import argparse
from collections.abc import Iterator, Mapping, Sequence
import json
import math
from pathlib import Path
import re
from typing import Any, NamedTuple

from cellrec_jax import errors
from cellrec_jax.bench import forms, matching_step
from cellrec_jax.bench.kernels import KERNELS
from cellrec_jax.bench.report import Settings
from cellrec_jax.io import atomic
from cellrec_jax.losses import density
from cellrec_jax.ops import matching

PARTS = ("density", "matching_auto")
"""Of `bench device`, whose figures are used."""


class Edit(NamedTuple):
    """An entry of a dictionary in a source file, and its new value."""

    path: Path
    name: str
    key: str
    value: str


def edits(found: Mapping[str, Any]) -> Iterator[Edit]:
    """What a file's figures say; ConfigError if they are not of an accelerator."""
    platform = (found.get("machine") or {}).get("platform")
    if platform in (None, "cpu") or found.get("quick"):
        what = "a quick trial" if found.get("quick") else f"of platform {platform}"
        raise errors.ConfigError(
            f"the figures are {what}: apply those of launch/gpu_checks.sh on a GPU, "
            "without --quick"
        )
    if not unfit(found, "density"):
        value = str(forms.dense_up_to(_rows(found, "density")))
        yield Edit(Path(density.__file__), "DENSE_UP_TO", platform, value)
    if not unfit(found, "matching_auto"):
        limit = matching_step.host_below(_rows(found, "matching_auto"))
        value = 'float("inf")' if math.isinf(limit) else str(float(limit))
        yield Edit(Path(matching.__file__), "HOST_BELOW", platform, value)


def unfit(found: Mapping[str, Any], part: str) -> str:
    """Why a part's figures cannot be used, and what to do; "" if they can."""
    outcome = found.get("parts", {}).get(part, {}).get("outcome", "not run")
    if outcome == "ok" and part == "matching_auto":
        cases = KERNELS[part].cases(Settings())
        wanted = {(c.point["proposals"], c.point["cells"]) for c in cases}
        if wanted - {(row["proposals"], row["cells"]) for row in _rows(found, part)}:
            outcome = "sizes are missing"
    if outcome == "ok":
        return ""
    return f"{part}: {outcome}; run launch/gpu_checks.sh --only {part} again"


def changed(text: str, edit: Edit) -> tuple[str, str]:
    """The text with the entry set, and the value before.

    ConfigError unless `NAME = {...}` on one line has the key once.

    Example:
      >>> changed('A = {"gpu": 1, "tpu": 2}', Edit(Path("a.py"), "A", "gpu", "7"))
      ('A = {"gpu": 7, "tpu": 2}', '1')
    """
    pattern = re.compile(
        rf'^({edit.name} = \{{[^}}\n]*"{edit.key}": )([^,}}\n]+)(?=[,}}])', re.M
    )
    found = pattern.findall(text)
    if len(found) != 1:
        raise errors.ConfigError(
            f"{edit.path}: has no line {edit.name} = {{...}} with {edit.key!r}: set it "
            f"to {edit.value} there"
        )
    return pattern.sub(lambda match: match[1] + edit.value, text), found[0][1]


def command(arguments: Sequence[str]) -> int:
    """Edits the sources, and says what changed; 1 if a part must be run again."""
    parser = argparse.ArgumentParser(
        prog="python -m cellrec_jax.bench apply", description=__doc__
    )
    parser.add_argument("file", type=Path)
    path = parser.parse_args(arguments).file
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise errors.ConfigError(
            f"{path}: cannot be read ({error}); give gpu_checks.json"
        ) from error
    todo = list(edits(found))
    again = [text for part in PARTS if (text := unfit(found, part))]
    if not todo:
        raise errors.ConfigError(f"{path}: nothing to apply: {'; '.join(again)}")
    for edit in todo:
        text, before = changed(edit.path.read_text(), edit)
        atomic.write_bytes(edit.path, text.encode())
        says = f'{edit.path.name}: {edit.name}["{edit.key}"] {before} -> {edit.value}'
        print(says)  # noqa: T201
    for text in again:
        print(f"not applied: {text}")  # noqa: T201
    return int(bool(again))


def _rows(found: Mapping[str, Any], name: str) -> Sequence[Mapping[str, Any]]:
    return (found.get("results", {}).get(name) or {}).get("rows", ())
