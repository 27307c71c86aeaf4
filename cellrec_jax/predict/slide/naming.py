"""Which slide has which name in an output folder, and what there is its own.

A slide is the file that links lead to. It keeps the name that it had first in a folder;
all files of that name are its own from then on.
"""

from collections.abc import Iterable, Iterator, Sequence
import contextlib
import json
import os
from pathlib import Path
import re

from cellrec_jax import errors
from cellrec_jax.data.pixels import files as pixel_files
from cellrec_jax.predict import inputs, provenance, summary
from cellrec_jax.predict import journal as image_journal
from cellrec_jax.predict.slide import journal

_ENDINGS = (
    rf"(\.csv|\.csv\.gz|\.parquet|{re.escape(inputs.OVERLAY_ENDING)}|"
    rf"{re.escape(inputs.DENSITY_ENDING)}|(-\d+)?\.geojson(\.gz)?)"
)
"""Of all that may be written of a slide, in any form."""
_LISTS = (".vms", ".vmu", ".ndpis")
"""Endings of slides that are lists of files beside them."""
_MOST_LISTED = 2**20  # bytes of such a list, or of what is known of a DICOM file
_SERIES = re.compile(
    rb"\x20\x00\x0d\x00UI..[0-9.\x00]*\x20\x00\x0e\x00UI..([0-9.]+)", re.DOTALL
)
"""Numbers of study and series of a DICOM file, one after the other; in what it says of
other files the latter stands alone."""


def names_of(paths: Sequence[Path], output: Path) -> dict[Path, str]:
    """Slide -> its name in all that is written, each slide once, in order.

    The first of several files of a DICOM series stands for the slide. New names are
    relative to the folder that all slides share. ConfigError where two slides, of this
    call or of `output`, would have one name.
    """
    folder = output / journal.FOLDER
    known = {place: name for name, place in _places(folder)}
    taken = {name: place for place, name in known.items()}
    first: dict[str, Path] = {}
    series: dict[tuple[str, bytes], str] = {}
    for path in paths:
        place = os.path.realpath(path)
        if number := _series(path):
            place = series.setdefault((os.path.dirname(place), number), place)
        first.setdefault(place, path)
    fresh = image_journal.names_of([Path(os.path.abspath(p)) for p in first.values()])
    found = {}
    for (place, path), new in zip(first.items(), fresh.values(), strict=True):
        name = known.get(place, new)
        if (other := taken.setdefault(name, place)) != place:
            raise errors.ConfigError(
                f"{output} would have two slides of the name {name}, {other} and "
                f"{place}: choose another --output for one of them"
            )
        found[path] = name
    return found


def without_parts(paths: Sequence[Path]) -> tuple[tuple[Path, ...], tuple[str, ...]]:
    """Inputs but for what others of them hold, and a line of what is passed over.

    Files that a .vms or .vmu lists are its pixels. A .ndpis lists slides, which stand
    for it where all of them are there.
    """
    places = {os.path.realpath(path): path for path in paths}
    left: dict[Path, None] = {}
    for path in paths:
        if path.suffix.lower() not in _LISTS:
            continue
        with contextlib.suppress(OSError):  # told when it is read
            listed = [os.path.realpath(one) for one in _companions(path)]
            if path.suffix.lower() != ".ndpis":
                left |= {places[one]: None for one in listed if one in places}
                continue
            listed = [one for one in listed if one.lower().endswith(".ndpi")]
            if listed and all(one in places for one in listed):
                left[path] = None
    if not left:
        return tuple(paths), ()
    shown = ", ".join(path.name for path in list(left)[:3]) + " ..." * (len(left) > 3)
    note = f"passed over, parts or lists of slides that are given too: {shown}"
    return tuple(path for path in paths if path not in left), (note,)


def check_free(output: Path, names: Iterable[str]) -> None:
    """ConfigError if files are there that results would replace, and are no results."""
    others: list[Path] = []
    if not (output / provenance.FILE).exists():
        others += [one for one in (output / summary.FILE,) if one.exists()]
    begun = {name for name, _ in _places(output / journal.FOLDER)}
    for name in names:
        if name not in begun:
            others += own_files(output, name)
    if others:
        raise errors.ConfigError(
            f"{others[0]} is there and was not written by this program: choose another "
            "--output, move it away, or give --overwrite, which replaces it"
        )


def own_files(output: Path, name: str) -> list[Path]:
    """What is there of a slide, in any form and in any number of parts."""
    place = output / name
    if not place.parent.is_dir():
        return []
    own = re.compile(re.escape(place.name) + _ENDINGS)
    return sorted(one for one in place.parent.iterdir() if own.fullmatch(one.name))


def stamp(path: Path) -> list[int]:
    """Bytes, and latest time in ns, of all files of a slide."""
    stamps = [pixel_files.stamp(one) for one in (path, *_companions(path))]
    return [sum(size for _, size, _ in stamps), max(time for _, _, time in stamps)]


def _series(path: Path) -> bytes:
    """The number of the DICOM series that a file is of; empty for others."""
    if path.suffix.lower() != ".dcm":
        return b""
    try:
        with path.open("rb") as file:
            found = _SERIES.search(file.read(_MOST_LISTED))
    except OSError:  # told when it is read
        return b""
    return found[1] if found else b""


def _companions(path: Path) -> Iterator[Path]:
    """Files beside a slide of many files that are its own."""
    ending = path.suffix.lower()
    if ending == ".mrxs":
        yield from sorted(path.with_suffix("").glob("*"))
    elif ending == ".dcm":  # a series is a folder
        yield from sorted(one for one in path.parent.glob("*.dcm") if one != path)
    elif ending in _LISTS:
        with path.open("rb") as file:
            lines = file.read(_MOST_LISTED).decode(errors="replace").splitlines()
        values = (line.partition("=")[2].strip() for line in lines)
        yield from (path.parent / value for value in values if value)


def _places(folder: Path) -> Iterator[tuple[str, str]]:
    """Name and file of each slide that a folder of journals has."""
    for plan in sorted(folder.rglob(journal.PLAN)):
        try:
            place = json.loads(plan.read_bytes())["file"][0]
        except (OSError, ValueError, KeyError, TypeError, IndexError):
            continue  # told when its slide is begun
        yield plan.parent.relative_to(folder).as_posix(), os.path.realpath(place)
