"""What is found of a slide, kept row of tiles by row of tiles.

A folder a slide: `plan.json` says what its rows were made with, `rows/N.npz` holds what
was found in a row, `done.json` how it was written out, `files.json` as what. A row is
there as a whole or not at all, so a killed call loses the row at work.
"""

from collections.abc import Iterator, Mapping, Sequence
import json
import os
from typing import Any, NamedTuple
import zipfile

from etils import epath
import numpy as np

from cellrec_jax import errors
from cellrec_jax.cells import Cells
from cellrec_jax.data.pixels import slides
from cellrec_jax.io import atomic
from cellrec_jax.predict import kept, provenance
from cellrec_jax.workdir import lock

FOLDER = ".slides"
"""In an output folder: a folder a slide, below."""
PLAN = "plan.json"
_DONE, _ROWS, _FILES = "done.json", "rows", "files.json"
_NAMED = {"roi": "roi_file"}
"""Keys of a plan that are hashes -> what is told of them, and decides nothing."""
_FLAGS = {
    **{"mpp": "--mpp", "tissue": "--tissue", "roi": "--roi"},
    **{"origin": "--origin", "tile": "size and margin of tiles, px"},
}
LOOKED_AT = "looked_at"
"""Key of a plan: which tiles touch tissue."""


class Row(NamedTuple):
    """A row of tiles."""

    cells: Cells
    """All from the least threshold on, px of the network."""
    tiles: np.ndarray
    """i32 [M], the column of the tile that found each."""
    bad: tuple[slides.BadBlock, ...] = ()
    """What of the level could not be read."""
    full: int = 0
    """Tiles with as many cells as the model keeps: there may be more."""


class Journal:
    """The folder of one slide."""

    def __init__(self, folder: epath.PathLike) -> None:
        """The folder need not be there."""
        self.folder = epath.Path(folder)

    def begin(self, plan: Mapping[str, Any], *, overwrite: bool = False) -> str:
        """Keeps what rows are made with; why rows that were there are not used, or "".

        ConfigError where they were made of the same file with other settings; with
        `overwrite` such rows are forgotten. Waits for others who begin or write the
        slide out: the first one clears rows for all.
        """
        with lock.wait_for(self.folder):
            return self._begin(plan, overwrite)

    def has_begun(self, plan: Mapping[str, Any]) -> bool:
        """Whether rows are made so; `plan` need not say what is looked at."""
        plan, before = self._plans(plan)
        return before is not None and _differing(before, plan) in ([], [LOOKED_AT])

    def _plans(self, plan: Mapping[str, Any]) -> tuple[dict[str, Any], Any]:
        """A plan as JSON has it, and the one that is there, or None."""
        now, before = json.loads(json.dumps(plan)), self._json(PLAN)
        for one in (now, before):  # earlier versions kept links
            if one is not None:
                one["file"][0] = os.path.realpath(one["file"][0])
        return now, before

    def _begin(self, plan: Mapping[str, Any], overwrite: bool) -> str:
        plan, before = self._plans(plan)
        why = ""
        if before is not None:
            differing = _differing(before, plan)
            if not differing:
                return ""
            if before["file"][0] != plan["file"][0]:
                raise errors.ConfigError(
                    f"{self.folder} holds what was found of another slide of that "
                    f"name ({before['file'][0]}): choose another --output"
                )
            why = "the file has changed since: it is predicted again"
            if before["file"][1:] == plan["file"][1:]:
                other = "; ".join(_told(before, plan, differing))
                why = f"other settings before ({other}): it is predicted again"
                if not overwrite:
                    raise errors.ConfigError(
                        f"{self.folder} holds what was found with other settings: "
                        f"{other}; choose another --output, or give --overwrite, which "
                        "finds its cells anew"
                    )
        with atomic.naming(self.folder):
            if why:
                (self.folder / _ROWS).rmtree(missing_ok=True)
                self.reopen()
            (self.folder / _ROWS).mkdir(parents=True, exist_ok=True)
        atomic.write_bytes(self.folder / PLAN, json.dumps(plan).encode() + b"\n")
        return why

    def rows(self) -> set[int]:
        """The rows that are there; a file that was cut off is none."""
        folder = self.folder / _ROWS
        paths = [*folder.iterdir()] if folder.is_dir() else []
        return {
            int(path.stem)
            for path in paths
            if path.stem.isdigit() and zipfile.is_zipfile(path)
        }

    def write(self, number: int, row: Row) -> None:
        """Adds a row; RunError if it cannot be written."""
        found = row.cells
        arrays: dict[str, Any] = {
            "points_yx": found.points_yx,
            "scores": found.scores,
            "labels": found.labels,
            "class_probs": found.class_probs,
            "tiles": row.tiles,
            "full": np.int32(row.full),
            "bad_yxyx": np.array([one.yxyx for one in row.bad], np.int64),
            "fault_texts": np.array([one.why for one in row.bad], np.str_),
        }
        if found.boxes_yxyx is not None:
            arrays["boxes_yxyx"] = found.boxes_yxyx
        with (
            atomic.atomic_path(self._path(number)) as temporary,
            temporary.open("wb") as file,
        ):
            np.savez_compressed(file, **arrays)

    def read(self, number: int) -> Row:
        """A row that is there; DataError if it is damaged, which is the end of it."""
        path = self._path(number)
        try:
            with path.open("rb") as file, np.load(file, allow_pickle=False) as found:
                arrays = dict(found)
            cells = Cells(
                arrays["points_yx"],
                arrays["scores"],
                arrays["labels"],
                arrays["class_probs"],
                arrays.get("boxes_yxyx"),
            )
            # Earlier versions lost whole tiles: such rows are found anew.
            places = arrays.get("bad_yxyx", np.zeros((0, 4))).tolist()
            texts = arrays["fault_texts"].tolist()
            bad = tuple(
                slides.BadBlock((y0, x0, y1, x1), text)
                for (y0, x0, y1, x1), text in zip(places, texts, strict=True)
            )
            return Row(cells, arrays["tiles"], bad, int(arrays["full"]))
        except Exception as error:  # a damaged file can raise many kinds
            with atomic.naming(path):
                path.unlink(missing_ok=True)
            raise errors.DataError(
                f"{path} could not be read ({error}), and is deleted: start again, "
                "which finds that row anew"
            ) from error

    def done(self) -> dict[str, Any] | None:
        """How the slide was written out; None where it was not."""
        return self._json(_DONE)

    def stamps(self) -> dict[str, kept.Stamp] | None:
        """Name -> stamp of each file as it was written; None while they are not."""
        return self._json(_FILES)

    def finish(
        self, state: Mapping[str, Any], stamps: Mapping[str, kept.Stamp]
    ) -> None:
        """Keeps that all is written out, and as what."""
        atomic.write_bytes(self.folder / _FILES, json.dumps(stamps).encode() + b"\n")
        atomic.write_bytes(self.folder / _DONE, json.dumps(state).encode() + b"\n")

    def reopen(self) -> None:
        """Forgets that it was written out, not as what."""
        (self.folder / _DONE).unlink(missing_ok=True)

    def rewrite(self) -> None:
        """Forgets how it was written out: its files are about to be replaced."""
        self.reopen()
        (self.folder / _FILES).unlink(missing_ok=True)

    def _path(self, number: int) -> epath.Path:
        return self.folder / _ROWS / f"{number:06d}.npz"

    def _json(self, name: str) -> Any:
        try:
            return json.loads((self.folder / name).read_bytes())
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise errors.ConfigError(
                f"{self.folder / name} cannot be read ({error}): delete that "
                "folder, then give --overwrite"
            ) from error


def _differing(before: Mapping[str, Any], plan: Mapping[str, Any]) -> list[str]:
    """Keys of what two plans decide otherwise."""
    return [
        key
        for key in sorted((before.keys() | plan.keys()) - set(_NAMED.values()))
        if before.get(key) != plan.get(key)
    ]


def _told(
    before: Mapping[str, Any], plan: Mapping[str, Any], differing: Sequence[str]
) -> Iterator[str]:
    """What differs, with both values, as they were given."""
    for key in differing:
        name = _NAMED.get(key, key)
        there, now = (provenance.word(one.get(name)) for one in (before, plan))
        if key == "weights":
            yield "the weights of the model"
        elif there == now:
            yield f"{_FLAGS.get(key, key)} ({now} has changed since)"
        elif key != LOOKED_AT:  # which follows from the others
            yield f"{_FLAGS.get(key, key)} ({there} there, {now} now)"
        elif len(differing) == 1:
            yield "where tissue lies (found by another version of this program)"
