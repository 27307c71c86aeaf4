"""Which images a file, folder or pattern names, and what of it is passed over."""

from collections import Counter
from collections.abc import Sequence
import glob
import os
from pathlib import Path
from typing import NamedTuple

from cellrec_jax import errors
from cellrec_jax.data.pixels import files as pixel_files
from cellrec_jax.data.pixels import slides

OVERLAY_ENDING = ".overlay.png"
"""Of the drawings that prediction writes, and so never predicts."""
DENSITY_ENDING = ".density.tif"
"""Of the density maps of slides, the same."""
FIELDS_ENDING = ".hotspots.geojson"
"""Of the fields that scores name."""
OWN_FILES = (
    *("detections.csv", "summary.csv", "predict.json", "predict.jsonl"),
    *("scores.json", "scores.csv"),
)
"""What prediction and scores write beside them."""

_OWN = "written by earlier predictions"
_FIGURES = "figures of a work directory"
_PROJECTS = "of QuPath itself (give the images; export annotations as GeoJSON)"
_OTHERS = "not of a kind that is read (save images as TIFF or PNG)"
_LINKS = "linked folders (give them to --input by themselves)"
_NOWHERE = "links that lead nowhere"
_FOLDERS = "folders (give them to --input by themselves, or a pattern with **/)"
_EMPTY = "folders without images"
_CLOSED = "folders that cannot be opened (check their permissions)"
_NUM_SHOWN = 3  # names of a kind in a line


class Inputs(NamedTuple):
    """What there is to predict."""

    paths: tuple[Path, ...]
    """Images and slides, naturally sorted."""
    notes: tuple[str, ...] = ()
    """What is passed over, a line a reason."""


class _Seen(NamedTuple):
    """A file, or a folder that is not entered."""

    path: Path
    why: str
    """Empty for an image, else the reason to pass it over."""


def find_inputs(pattern: str) -> list[Path]:
    """Images that a file, folder or glob names, naturally sorted; DataError if none."""
    return list(look(pattern).paths)


def look(*patterns: str) -> Inputs:
    """The images that files, folders or globs name, and what is passed over.

    A single file, and an ending that a pattern spells, are taken at their word. Of
    the rest, files of other endings, linked folders, and what this program drew
    (overlays, figures of work directories) are told; hidden files are not. Of several
    patterns, as a shell makes them of one, so are folders without images, and own files
    are no images. DataError if one names nothing, or no image is left.
    """
    seen = [
        one
        for pattern in patterns
        for one in _look_at(pattern, is_alone=len(patterns) == 1)
    ]
    notes = _notes([one for one in seen if one.why])
    found = [one.path for one in seen if not one.why]
    if not found:
        pattern, *others = patterns
        more = f" and {len(others)} more" if others else ""
        what = f" ({'; '.join(notes)})" if notes else ""
        raise _nothing(f"{pattern}{more}", f"no images there{what}")
    if len(patterns) > 1:  # from the root on, where two may name one, or share nothing
        found = list({Path(os.path.abspath(path)) for path in found})
    found.sort(key=lambda p: pixel_files.natural_key(p.as_posix()))
    return Inputs(tuple(found), notes)


def _look_at(pattern: str, *, is_alone: bool) -> list[_Seen]:
    """What one of the patterns names."""
    path = Path(pattern).expanduser()
    if path.is_file():
        is_own = not is_alone and _why_not(path) == _OWN
        return [_Seen(path, _OWN if is_own else "")]
    seen = _walk(path) if path.is_dir() else _matches(str(path))
    if not seen and not path.exists() and not glob.has_magic(pattern):
        raise _nothing(pattern, "there is no such file or folder")
    if not is_alone and all(one.why for one in seen):
        if not path.is_dir():
            raise _nothing(pattern, "no images there")
        return [*seen, _Seen(path, _EMPTY)]
    return seen


def _nothing(pattern: str, why: str) -> errors.DataError:
    return errors.DataError(
        f"--input {pattern}: {why}; give a file, a folder or a quoted pattern such as "
        "'images/*.png'"
    )


def unread_format(path: Path) -> str:
    """What to do with a file whose ending none of the readers has; empty for others.

    Such a file is whole, but for another program: it must not be called damaged.
    """
    ending = path.suffix.lower()
    if ending in pixel_files.IMAGE_ENDINGS:
        return ""
    if ending in slides.SLIDE_ENDINGS:
        return f"{ending} is a format of whole slides: give it to `cellrec predict`"
    return f"{ending or 'a file without ending'} is {_OTHERS}"


def _walk(folder: Path) -> list[_Seen]:
    """All of a folder but what is hidden; links are not followed, so no circles."""
    seen: list[_Seen] = []
    closed: list[OSError] = []
    for place, folders, names in os.walk(folder, onerror=closed.append):
        base = Path(place)
        folders[:] = [name for name in folders if not name.startswith((".", "__"))]
        for name in list(folders):
            why = _why_not_enter(base, name, names)
            if why:
                folders.remove(name)
                seen.append(_Seen(base / name, why))
        seen += [
            _Seen(base / name, _why_not(base / name))
            for name in names
            if not name.startswith(".")
        ]
    return seen + [_Seen(Path(str(error.filename)), _CLOSED) for error in closed]


def _why_not_enter(base: Path, name: str, beside: Sequence[str]) -> str:
    if (base / name).is_symlink():
        return _LINKS
    mine = name == "figures" and {"config.json", "results.json"} & set(beside)
    return _FIGURES if mine else ""


def _matches(pattern: str) -> list[_Seen]:
    """What a glob matches; endings that it spells are meant."""
    spelled = Path(pattern).suffix.lower()
    drawn = pattern.lower().endswith(OVERLAY_ENDING)
    seen = []
    for name in sorted(set(glob.glob(pattern, recursive=True))):
        path = Path(name)
        why = _FOLDERS if path.is_dir() else _why_not(path)
        meant = (why == _OWN and drawn) or (
            why in (_PROJECTS, _OTHERS) and path.suffix.lower() == spelled != ""
        )
        if why != _FOLDERS or "**" not in pattern:  # whose files match by themselves
            seen.append(_Seen(path, "" if meant else why))
    return seen


def _why_not(path: Path) -> str:
    """Why a file is passed over; empty for an image."""
    name = path.name.lower()
    endings = (OVERLAY_ENDING, DENSITY_ENDING, FIELDS_ENDING)
    own = name.endswith(endings) or name in OWN_FILES
    if own or _is_beside_overlay(path):
        return _OWN
    if name.endswith(slides.PROJECT_ENDINGS):
        return _PROJECTS
    if not name.endswith((*pixel_files.IMAGE_ENDINGS, *slides.SLIDE_ENDINGS)):
        return _OTHERS
    return "" if path.is_file() else _NOWHERE


def _is_beside_overlay(path: Path) -> bool:
    """Whether a file is the GeoJSON of an image that was drawn."""
    drawn = path.with_name(path.name.removesuffix(".geojson") + OVERLAY_ENDING)
    return path.suffix == ".geojson" and drawn.exists()


def _notes(left: Sequence[_Seen]) -> tuple[str, ...]:
    """One line a reason: how many, which, and what to do."""
    lines = []
    for why in dict.fromkeys(one.why for one in left):
        paths = [one.path for one in left if one.why == why]
        shown = ", ".join(path.name for path in paths[:_NUM_SHOWN])
        if len(paths) > _NUM_SHOWN:
            endings = Counter(path.suffix.lower() or "none" for path in paths)
            kinds = ", ".join(f"{num} {end}" for end, num in endings.most_common())
            shown = f"{len(paths)}, by ending {kinds}, such as {shown}"
        lines.append(f"passed over, {why}: {shown}")
    return tuple(lines)
