"""The same as lines, for people."""

from collections.abc import Iterator, Mapping
import textwrap
from typing import Any

_WIDTH = 88
_LABEL = 19
_UNITS = ("B", "KiB", "MiB", "GiB", "TiB")


def of_machine(facts: Mapping[str, Any]) -> list[str]:
    """Lines of `machine.facts`."""
    return [line for label, text in _machine(facts) for line in _row(label, text)]


def of_file(found: Mapping[str, Any]) -> list[str]:
    """Lines of `files.look`."""
    if "error" in found:
        return [f"{found['path']}: cannot be used: {found['error']}"]
    rows = _ROWS[found["kind"]](found)
    lines = [line for label, text in rows for line in _row(label, text)]
    return [f"{found['path']}: {found['kind']}", *lines]


def size(num_bytes: float) -> str:
    """A number of bytes; 0 is unknown.

    Example:
      >>> [size(number) for number in (0, 1000, 3 * 2**20, 5 * 2**30)]
      ['unknown', '1000 B', '3.0 MiB', '5.0 GiB']
    """
    if not num_bytes:
        return "unknown"
    power = 0
    while num_bytes >= 1024 and power + 1 < len(_UNITS):
        num_bytes, power = num_bytes / 1024, power + 1
    return f"{num_bytes:.{1 if power else 0}f} {_UNITS[power]}"


def _row(label: str, text: str) -> list[str]:
    """A label and what is said of it, on as many lines as that needs."""
    indent = " " * (2 + _LABEL)
    return textwrap.wrap(
        text,
        _WIDTH,
        initial_indent=f"  {label:<{_LABEL}}",
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _machine(facts: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for name, version in facts["versions"].items():
        yield name, version or "not there"
    yield "platform", facts["platform"]
    if facts["devices_error"]:
        yield "devices", f"cannot be used: {facts['devices_error']}"
    for one in facts["devices"]:
        text = f"{one['count']} x {one['kind']} ({one['platform']})"
        if one["memory"]:
            text += f", each {size(one['free'])} free of {size(one['memory'])}"
        yield "devices", text
    yield "cores", f"{facts['cores']}"
    memory = facts["memory"]
    yield "memory", f"{size(memory['free'])} free of {size(memory['total'])}"
    yield "disk", f"{size(facts['disk']['free'])} free in {facts['disk']['folder']}"
    yield "programs", _programs(facts["compiled"])
    yield "images", " ".join(facts["readers"]["images"])
    yield "slides", " ".join(facts["readers"]["slides"]) or "none are read"
    for name, one in facts["extras"].items():
        yield name, _extra(one)


def _programs(compiled: Mapping[str, Any]) -> str:
    if compiled["folder"] is None:
        return "compiled ones are not kept (--cache off)"
    if not compiled["files"]:
        return f"none are kept yet in {compiled['folder']}"
    held = f"{size(compiled['size'])} in {compiled['files']} files"
    return f"{compiled['folder']}: {held}"


def _extra(one: Mapping[str, Any]) -> str:
    if None in one["versions"].values():
        return f"not there; for {one['for']}: {one['install']}"
    return ", ".join(f"{name} {text}" for name, text in one["versions"].items())


def _mpp(found: Mapping[str, Any]) -> str:
    if not found["mpp"]:
        return "unknown (--mpp gives it)"
    source = f", by {found['mpp_source']}" if found["mpp_source"] else ""
    return f"{found['mpp']:g} um per px{source}"


def _notes(found: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for note in found["notes"]:
        yield "note", note


def _slide(found: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    yield "read by", f"{found['reader']}, {size(found['size'])}"
    for number, one in enumerate(found["levels"]):
        height, width = one["size_hw"]
        times = dict.fromkeys(f"{side:.4g}" for side in one["downsample_yx"])
        yield f"level {number}", f"{height} x {width} px, 1 in {' x '.join(times)}"
    yield "pixel size", _mpp(found)
    if found["bounds_yxyx"]:
        top, left, bottom, right = found["bounds_yxyx"]
        yield "bounds", f"y {top} to {bottom}, x {left} to {right} px"
    yield from _notes(found)


def _image(found: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    height, width = found["size_hw"]
    yield "size", f"{height} x {width} px, {size(found['size'])}"
    yield "channels", f"{found['channels']} of {found['bits']} bits"
    yield "pixel size", _mpp(found)
    yield from _notes(found)


def _several(found: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    yield "images", f"{found['images']}"
    if found["slides"]:
        yield "slides", f"{found['slides']}"
    yield from _notes(found)


def _workdir(found: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    yield "method", found["method"] + (", exported" if found["exported"] else "")
    yield "step", f"{found['step']} of {found['total_steps']}"
    yield "thresholds", _cuts(found["thresholds"])
    if found["thresholds_once"] != found["thresholds"]:
        yield "seen once", f"{_cuts(found['thresholds_once'])} (slides, --quick)"
    height, width = found["native_hw"]
    mpp = f"{found['mpp']:g} um per px" if found["mpp"] else "um per px unknown"
    yield "trained on", f"{height} x {width} px, {mpp}"


def _cuts(cuts: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {cut:.3f}" for name, cut in cuts.items())


_ROWS = {
    "slide": _slide,
    "image": _image,
    "folder": _several,
    "pattern": _several,
    "work directory": _workdir,
}
