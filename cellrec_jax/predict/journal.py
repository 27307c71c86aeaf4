"""Which images of a folder of results are done, so that a stopped call goes on.

One line an image, in JSON, appended when all that belongs to the image is written.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
import json
import os
from pathlib import Path
from typing import NamedTuple

from etils import epath
import jax

from cellrec_jax import errors, hosts
from cellrec_jax.data.pixels import files as pixel_files
from cellrec_jax.io import atomic, table
from cellrec_jax.predict import kept
from cellrec_jax.predict.inputs import OVERLAY_ENDING

FILE = "predict.jsonl"
TABLE = "detections.csv"
_PART = ".part-"


class Done(NamedTuple):
    """An image whose cells are written."""

    image: str
    """Its name in all that is written."""
    path: str
    """Absolute."""
    num_bytes: int
    mtime_ns: int
    height: int
    width: int
    mpp: float
    """Micrometres per px that it was predicted with; 0 unknown."""
    counts: Sequence[int]
    """K numbers of cells."""
    note: str = ""
    """Why there is no cell, where there is none."""
    num_rows: int = -1
    """Rows of the table, where these are not the cells alone; -1 where they are."""
    geojson: kept.Stamp | None = None
    """Its GeoJSON as it was written; earlier versions did not keep it."""
    says_mpp: bool = False
    """Whether its file says a pixel size; earlier versions did not keep it."""


class Plan(NamedTuple):
    """What there is to do."""

    names: Mapping[Path, str]
    """Image -> its name, of all images asked for."""
    todo: tuple[Path, ...]
    done: dict[str, Done]
    """Name -> an image that is done, whether asked for or not."""


def own_tables(output: epath.Path) -> epath.Path:
    """Where this process adds lines; of several each has a folder, but the first."""
    return output if hosts.is_first() else output / f"{_PART}{jax.process_index()}"


def take_parts(output: epath.Path) -> None:
    """Adds what several processes have finished to table and journal of the folder."""
    for folder in sorted(output.glob(f"{_PART}*")):
        known = read(output)
        new = {k: one for k, one in read(output, folder).items() if k not in known}
        rows = [one for one in table.read_rows(folder / TABLE) if one["image"] in new]
        if rows:
            table.append_rows(output / TABLE, rows, tuple(rows[0]))
        for one in new.values():
            append(output, one)
        folder.rmtree()


def read(output: epath.Path, tables: epath.Path | None = None) -> dict[str, Done]:
    """Name -> image that is done: its line, its files and all of its rows are there.

    `tables` is the folder of its lines and rows, if it is another one.
    """
    tables = tables or output
    found = _known(tables)
    rows = table.count_by_image(tables / TABLE) or Counter()
    return {
        name: one
        for name, one in found.items()
        if rows[name] == (sum(one.counts) if one.num_rows < 0 else one.num_rows)
        and all(file.exists() for file in files_of(output, name))
    }


def refuse_changed(output: epath.Path, names: Iterable[str]) -> None:
    """DataError where the GeoJSON of one of the images is not as it was written."""
    known = _known(output)
    for name in names:
        if name in known and (stamp := known[name].geojson):
            path = Path(files_of(output, name)[0])
            kept.refuse_changed([path], {path.name: stamp})


def without_changed(output: epath.Path, known: Mapping[str, Done]) -> dict[str, Done]:
    """With images whose GeoJSON is not as it was written as if they had changed."""

    def is_changed(name: str, one: Done) -> bool:
        path = Path(files_of(output, name)[0])
        return bool(one.geojson and any(kept.changed([path], {path.name: one.geojson})))

    return {
        name: one._replace(mtime_ns=-1) if is_changed(name, one) else one
        for name, one in known.items()
    }


def files_of(output: epath.Path, name: str) -> tuple[epath.Path, epath.Path]:
    """GeoJSON and overlay of an image."""
    place = output / name
    return (
        place.with_name(f"{place.name}.geojson"),
        place.with_name(f"{place.name}{OVERLAY_ENDING}"),
    )


def plan(paths: Iterable[Path], done: dict[str, Done], output: epath.Path) -> Plan:
    """What is to be predicted: images that are new, or changed since.

    Names are relative to the folder that all images share, those of images seen before
    stay. ConfigError where the folder has another image of a name.
    """
    paths = list(dict.fromkeys(paths))
    fresh = names_of(paths)
    known = {one.path: one.image for one in done.values()}
    names, todo, kept = {}, [], dict(done)
    for path in paths:
        place = os.path.abspath(path)
        name = known.get(place) or fresh[path]
        names[path] = name
        before = done.get(name)
        if before is not None and before[2:4] == pixel_files.stamp(path)[1:]:
            continue
        todo.append(path)
        if before is None:
            continue
        if before.path != place:
            raise errors.ConfigError(
                f"{output} holds results of another {name} ({before.path}): choose "
                "another --output"
            )
        del kept[name]
    return Plan(names, tuple(todo), kept)


def of_first(plan: Plan) -> Plan:
    """The first process's plan, for all: others may see other images, or lines."""
    if jax.process_count() == 1:
        return plan
    names = [(str(path), name) for path, name in plan.names.items()]
    names, todo, done = hosts.first_json((names, [*map(str, plan.todo)], plan.done))
    return Plan(
        {Path(path): name for path, name in names},
        tuple(map(Path, todo)),
        {name: Done(*one) for name, one in done.items()},
    )


def begin(
    output: epath.Path,
    done: Mapping[str, Done],
    columns: Sequence[str] = table.DETECTION_COLUMNS,
) -> int:
    """Brings table and journal to what is done, without what a killed call left.

    `columns` are those of the table. Returns how many images lost their rows.
    ConfigError if there is another program's table.
    """
    rows = table.count_by_image(output / TABLE)
    if rows is None and (output / TABLE).exists():
        raise errors.ConfigError(
            f"{output / TABLE} is of another program: choose another --output"
        )
    lost = (rows or {}).keys() - done.keys()
    if not rows or lost or _unfinished(output / TABLE):
        table.keep_images(output / TABLE, done.__contains__, columns)
    if len(_lines(output)) != len(done):
        lines = b"".join(_line(one) for one in done.values())
        atomic.write_bytes(output / FILE, lines)
    return len(lost)


def append(output: epath.Path, one: Done) -> None:
    """Adds an image; RunError if it cannot be written."""
    try:
        with (output / FILE).open("ab") as file:
            file.write(_line(one))
    except OSError as error:
        raise errors.RunError(
            f"cannot write {output / FILE}: {error.strerror}; free some space, then "
            "start again: finished images are kept"
        ) from error


def stamped(name: str, path: Path, size_hw: Sequence[int], mpp: float) -> Done:
    """An image without cells so far."""
    place = os.path.abspath(path)
    return Done(
        name, place, *pixel_files.stamp(path)[1:], size_hw[0], size_hw[1], mpp, ()
    )


def _known(tables: epath.Path) -> dict[str, Done]:
    """Name -> the last whole line of an image."""
    found = {}
    for line in _lines(tables):
        try:
            one = Done(**json.loads(line))
        except (ValueError, TypeError):
            continue  # half a line, of a call that was killed
        found[one.image] = one
    return found


def _line(one: Done) -> bytes:
    # In ASCII, so that names that are not UTF-8 come back as they were.
    return json.dumps(one._asdict()).encode("ascii") + b"\n"


def _lines(output: epath.Path) -> list[bytes]:
    try:
        return (output / FILE).read_bytes().splitlines()
    except FileNotFoundError:
        return []


def _unfinished(path: epath.Path) -> bool:
    """Whether a file ends within a line."""
    with path.open("rb") as file:
        file.seek(0, os.SEEK_END)
        file.seek(max(file.tell() - 1, 0))
        return file.read(1) != b"\n"


def names_of(paths: Sequence[Path]) -> dict[Path, str]:
    """Path -> its name in all that is written: below the folder that all share."""
    parents = [set(path.parents) for path in paths]
    root = max(set.intersection(*parents), key=lambda p: len(p.parts))
    return {path: path.relative_to(root).as_posix() for path in paths}
