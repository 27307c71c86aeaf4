"""Where the seconds of a compiled program go, by named scope, from a trace of it."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
import re
import tempfile
from typing import Any

import jax

from cellrec_jax.bench.report import Row

_INSTRUCTION = re.compile(r"^\s*(?:ROOT )?%?([\w.\-]+) = .*?\b([\w\-]+)\(")
_COMPUTATION = re.compile(r"^(?:ENTRY )?%?([\w.\-]+) \(.*{$")
_CALLED = re.compile(r"calls=%?([\w.\-]+)")
_SCOPE = re.compile(r'op_name="([^"]*)"')
_WRAPPED = re.compile(r"^(?:jvp|transpose|vmap|rematted_computation)\((.*)\)$")
_CONTAINERS = frozenset(("while", "conditional", "call"))
_NAME = re.compile(r"(?!branch_\d|jit\()[\w.\-]+")
_SILENT = frozenset(("while", "body", "cond", "closed_call", "checkpoint"))
_BACKWARD, _FORWARD = "backward", "forward"
NO_SCOPE = "(no scope)"


def scopes_of(program: str) -> dict[str, str]:
    """Instruction -> its `op_name`, "" without one, of a compiled program's text.

    A fusion without one takes that of an instruction inside. What only calls other
    instructions (loops, branches) is left out: it would count them twice.
    """
    found, inside, fused = {}, "", {}
    named_inside: dict[str, str] = {}
    for line in program.splitlines():
        if head := _COMPUTATION.match(line):
            inside = head[1]
        match = _INSTRUCTION.match(line)
        if not match:
            continue
        named = _SCOPE.search(line)
        if named:
            named_inside[inside] = named[1]  # of the last, which is its result
        if match[2] not in _CONTAINERS:
            found[match[1]] = named[1] if named else ""
            if not named and (called := _CALLED.search(line)):
                fused[match[1]] = called[1]
    return found | {name: named_inside.get(fused[name], "") for name in fused}


def scope(op_name: str, depth: int = 2) -> tuple[str, str]:
    """The first `depth` names of an instruction, and whether it is of the gradient.

    Example:
      >>> scope("jit(step)/transpose(jvp(Detector))/fpn/lateral/conv/mul")
      ('Detector/fpn', 'backward')
    """
    names, direction = [], _FORWARD
    for part in _split(op_name)[:-1]:  # the last is the operation
        name = part
        while match := _WRAPPED.match(name):
            if part.startswith("transpose("):
                direction = _BACKWARD
            name = match[1]
        if _NAME.fullmatch(name) and name not in _SILENT:
            names.append(name)
    return "/".join(names[:depth]) or NO_SCOPE, direction


def _split(op_name: str) -> list[str]:
    """Parts between slashes that are not in parentheses."""
    parts, open_ = [""], 0
    for sign in op_name:
        open_ += {"(": 1, ")": -1}.get(sign, 0)
        if sign == "/" and not open_:
            parts.append("")
        else:
            parts[-1] += sign
    return parts


def seconds_of(run: Callable[[], Any], program: str) -> dict[str, float]:
    """Seconds of each instruction of a compiled program while `run` runs it.

    Summed over threads and devices. `bench.trace` keeps a trace for Perfetto.
    """
    known = scopes_of(program)
    with tempfile.TemporaryDirectory() as folder:
        with jax.profiler.trace(folder):
            run()
        (file,) = Path(folder).rglob("*.xplane.pb")
        total: dict[str, float] = defaultdict(float)
        for name, seconds in _events(file):
            if name in known:
                total[name] += seconds
    return total


def _events(file: Path) -> Iterator[tuple[str, float]]:
    """Name and seconds of each instruction that a trace saw."""
    for plane in jax.profiler.ProfileData.from_file(str(file)).planes:
        for line in plane.lines:
            for event in line.events:
                for key, value in event.stats:
                    if key == "hlo_op":
                        yield str(value), event.duration_ns * 1e-9


def by_scope(
    seconds: Mapping[str, float], program: str, steps: int, depth: int = 2
) -> tuple[Row, ...]:
    """A row a scope, the slowest first: ms a step, forward and backward, and shares."""
    known = scopes_of(program)
    found: dict[str, dict[str, float]] = {}
    for name, taken in seconds.items():
        where, direction = scope(known[name], depth)
        both = found.setdefault(where, {_FORWARD: 0.0, _BACKWARD: 0.0})
        both[direction] += taken
    whole = sum(seconds.values()) or 1.0
    ranked = sorted(found.items(), key=lambda item: -sum(item[1].values()))
    return tuple(
        {
            "scope": where,
            "forward_ms": taken[_FORWARD] / steps * 1e3,
            "backward_ms": taken[_BACKWARD] / steps * 1e3,
            "share": sum(taken.values()) / whole,
        }
        for where, taken in ranked
    )
