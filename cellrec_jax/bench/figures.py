"""gpu_checks.json of `bench device`: outcomes, rows and goals of all parts so far."""

from collections.abc import Mapping, Sequence
import json
from pathlib import Path
import shutil
from typing import Any
import xml.etree.ElementTree as ET

from cellrec_jax.bench import goals
from cellrec_jax.bench.parts import Part
from cellrec_jax.io import atomic

FILE = "gpu_checks.json"
OLD = "gpu_checks.old.json"
"""The figures of another machine, or of a trial, that were in the way."""

Found = dict[str, Any]
"""quick, machine, parts (name -> outcome, seconds, notes), results (benchmark ->
rows), tests, goals."""


def opened(out: Path, quick: bool, machine: Mapping[str, Any]) -> Found:
    """What a folder holds of this machine; if of another, that is moved to `OLD`."""
    new: Found = {"quick": quick, "machine": machine, "parts": {}, "results": {}}
    path = out / FILE
    try:
        known = json.loads(path.read_text())
        if _origin(known) == _origin(new):
            return {**known, "machine": machine}
    except (OSError, ValueError, KeyError, TypeError):
        pass  # none, or no such file
    if path.exists():
        path.replace(out / OLD)
    return new


def forget(found: Found, part: Part, out: Path) -> None:
    """Deletes what a part found and wrote before."""
    found["parts"].pop(part.name, None)
    for table in found["results"].values():
        table["rows"] = [row for row in table["rows"] if row.get("part") != part.name]
    if not part.makes:
        found.pop("tests", None)
    if part.makes == "trace":
        shutil.rmtree(out / "trace", ignore_errors=True)
    _path(part, out).unlink(missing_ok=True)


def add(found: Found, part: Part, outcome: str, seconds: float, out: Path) -> None:
    """Adds how a part ended, with its rows or the tests' numbers."""
    ended: dict[str, Any] = {"outcome": outcome, "seconds": seconds}
    found["parts"][part.name] = ended
    try:
        if part.makes:
            _add_rows(found, part, ended, _path(part, out))
        else:
            found["tests"] = tests(_path(part, out))
    except OSError:
        _fail(ended, "wrote no figures")
    except (ET.ParseError, ValueError, KeyError, StopIteration) as error:
        _fail(ended, f"figures cannot be read ({type(error).__name__})")
    if part.required and ended["outcome"].startswith("skipped"):
        ended["outcome"] = f"failed: {ended['outcome']}"


def write(found: Found, out: Path) -> None:
    """Writes all of it, with goals, whole or not at all."""
    found["goals"] = goals.table(found["results"])
    text = json.dumps(found, indent=1, allow_nan=False)
    atomic.write_bytes(out / FILE, text.encode() + b"\n")


def failed(part: Mapping[str, Any]) -> bool:
    """Whether a part neither ran well nor was skipped for what is not installed."""
    return not part["outcome"].startswith(("ok", "skipped"))


def tests(path: Path) -> dict[str, Any]:
    """Numbers and names of what failed, from the file that pytest writes."""
    suite = next(ET.parse(path).getroot().iter("testsuite"))
    counts: dict[str, Any] = {
        key: int(suite.get(key, 0))
        for key in ("tests", "failures", "errors", "skipped")
    }
    counts["failed"] = [
        f"{case.get('classname')}::{case.get('name')}"
        for case in suite.iter("testcase")
        if case.find("failure") is not None or case.find("error") is not None
    ]
    return counts


def _origin(found: Mapping[str, Any]) -> tuple[Any, ...]:
    """What figures must share to stand in one file; the load changes."""
    machine = {key: v for key, v in found["machine"].items() if key != "load"}
    return found["quick"], machine


def _path(part: Part, out: Path) -> Path:
    return out / "parts" / f"{part.name}.{'json' if part.makes else 'xml'}"


def _fail(ended: dict[str, Any], what: str) -> None:
    """Turns a good end into a bad one."""
    if ended["outcome"] == "ok":
        ended["outcome"] = f"failed: {what}"


def _add_rows(found: Found, part: Part, ended: dict[str, Any], path: Path) -> None:
    (new,) = json.loads(path.read_text())["results"].values()
    known = found["results"].setdefault(part.makes, {"rows": []})
    known["rows"] += [{**row, "part": part.name} for row in new["rows"]]
    notes: Sequence[str] = new["notes"]
    ended["notes"] = [*notes, *(f"wrong: {one}" for one in new["wrong"])]
    if ended["outcome"] == "ok" and not new["rows"]:
        skipped = notes and all(note.startswith("skipped") for note in notes)
        ended["outcome"] = "; ".join(
            [*([] if skipped else ["nothing measured"]), *notes]
        )
