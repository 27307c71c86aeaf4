"""What is found of a slide, kept row of tiles by row of tiles.

A folder a slide: `plan.json` says what its rows were made with, `rows/N.npz` holds what
was found in a row, `done.json` how it was written out. A row is there as a whole or not
at all, so a killed call loses the row at work.
"""

from collections.abc import Mapping
import json
from typing import Any, NamedTuple

from etils import epath
import numpy as np

from cellrec_jax import errors
from cellrec_jax.cells import Cells
from cellrec_jax.io import atomic

_PLAN, _DONE, _ROWS = "plan.json", "done.json", "rows"


class Row(NamedTuple):
    """A row of tiles."""

    cells: Cells
    """All from the least threshold on, px of the network."""
    tiles: np.ndarray
    """i32 [M], the column of the tile that found each."""
    faults: tuple[tuple[int, str], ...] = ()
    """Columns of tiles that could not be read, and why."""
    full: int = 0
    """Tiles with as many cells as the model keeps: there may be more."""


class Journal:
    """The folder of one slide."""

    def __init__(self, folder: epath.PathLike) -> None:
        """The folder need not be there."""
        self.folder = epath.Path(folder)

    def begin(self, plan: Mapping[str, Any]) -> str:
        """Keeps what rows are made with; why rows that were there are not used, or "".

        ConfigError where they were made of the same file with other settings.
        """
        plan = json.loads(json.dumps(plan))
        before = self._json(_PLAN)
        if before == plan:
            return ""
        why = ""
        if before is not None:
            if before["file"][0] != plan["file"][0]:
                raise errors.ConfigError(
                    f"{self.folder} holds what was found of another slide of that "
                    f"name ({before['file'][0]}): choose another --output"
                )
            if before["file"] == plan["file"]:
                differing = [
                    f"{key} ({before.get(key)} there, {plan.get(key)} now)"
                    for key in sorted(before.keys() | plan.keys())
                    if before.get(key) != plan.get(key)
                ]
                raise errors.ConfigError(
                    f"{self.folder} holds what was found with other settings: "
                    f"{'; '.join(differing)}; choose another --output, or delete that "
                    "folder"
                )
            why = "the file has changed since: it is predicted again"
            self.folder.rmtree()
        (self.folder / _ROWS).mkdir(parents=True, exist_ok=True)
        atomic.write_bytes(self.folder / _PLAN, json.dumps(plan).encode() + b"\n")
        return why

    def rows(self) -> set[int]:
        """The rows that are there."""
        folder = self.folder / _ROWS
        names = [path.name for path in folder.iterdir()] if folder.is_dir() else []
        return {int(name[:-4]) for name in names if name[:-4].isdigit()}

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
            "fault_columns": np.array([one for one, _ in row.faults], np.int32),
            "fault_texts": np.array([text for _, text in row.faults], np.str_),
        }
        if found.boxes_yxyx is not None:
            arrays["boxes_yxyx"] = found.boxes_yxyx
        with (
            atomic.atomic_path(self._path(number)) as temporary,
            temporary.open("wb") as file,
        ):
            np.savez_compressed(file, **arrays)

    def read(self, number: int) -> Row:
        """A row that is there; RunError if it is damaged."""
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
            columns, texts = arrays["fault_columns"], arrays["fault_texts"]
            faults = zip(columns.tolist(), texts.tolist(), strict=True)
            return Row(cells, arrays["tiles"], tuple(faults), int(arrays["full"]))
        except Exception as error:  # a damaged file can raise many kinds
            raise errors.RunError(
                f"{path} cannot be read ({error}): delete it and start again, which "
                "finds that row anew"
            ) from error

    def done(self) -> dict[str, Any] | None:
        """How the slide was written out; None where it was not."""
        return self._json(_DONE)

    def finish(self, state: Mapping[str, Any]) -> None:
        """Keeps that all is written out."""
        atomic.write_bytes(self.folder / _DONE, json.dumps(state).encode() + b"\n")

    def reopen(self) -> None:
        """Forgets that it was written out."""
        (self.folder / _DONE).unlink(missing_ok=True)

    def _path(self, number: int) -> epath.Path:
        return self.folder / _ROWS / f"{number:06d}.npz"

    def _json(self, name: str) -> Any:
        try:
            return json.loads((self.folder / name).read_bytes())
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise errors.ConfigError(
                f"{self.folder / name} cannot be read ({error}): delete that folder"
            ) from error
