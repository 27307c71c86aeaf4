"""What a page is made of; the template has a macro for each kind."""

from collections.abc import Sequence
import dataclasses
from typing import ClassVar, NamedTuple, Union


class Cell(NamedTuple):
    """A cell of a table."""

    text: str
    sub: str = ""
    """Smaller, below."""
    share: float | None = None
    """In [0, 1]: how much of the cell is coloured, or how strongly."""


@dataclasses.dataclass(frozen=True)
class Text:
    """A paragraph."""

    kind: ClassVar[str] = "text"
    text: str


@dataclasses.dataclass(frozen=True)
class Notes:
    """What is missing or odd, a line each."""

    kind: ClassVar[str] = "notes"
    lines: tuple[str, ...]
    warn: bool = False


@dataclasses.dataclass(frozen=True)
class Table:
    """A table whose first columns are text, the others numbers."""

    kind: ClassVar[str] = "table"
    columns: tuple[str, ...]
    """None are not drawn."""
    rows: tuple[tuple[Cell, ...], ...]
    caption: str = ""
    num_text: int = 1
    """Columns of text; their first one names the row."""
    heat: bool = False
    """Whether `share` colours the whole cell, not a bar in it."""


@dataclasses.dataclass(frozen=True)
class Tile:
    """A number that is looked at first."""

    label: str
    value: str
    sub: str = ""
    main: bool = False


@dataclasses.dataclass(frozen=True)
class Tiles:
    """Several of them."""

    kind: ClassVar[str] = "tiles"
    tiles: tuple[Tile, ...]


@dataclasses.dataclass(frozen=True)
class Picture:
    """A picture with its caption: either of `source` and `svg`."""

    caption: str
    source: str = ""
    """A data URI."""
    svg: str = ""
    """An element, inserted as it is: of `io.drawing.svg` alone."""
    width: int = 0
    height: int = 0
    title: str = ""
    """Above the rest of the caption."""


@dataclasses.dataclass(frozen=True)
class Pictures:
    """Pictures side by side, as many as there is room for."""

    kind: ClassVar[str] = "pictures"
    pictures: tuple[Picture, ...]


@dataclasses.dataclass(frozen=True)
class Folded:
    """What opens on a click."""

    kind: ClassVar[str] = "folded"
    title: str
    blocks: Sequence["Block"]


Block = Union[Text, Notes, Table, Tiles, Pictures, Folded]  # noqa: UP007


@dataclasses.dataclass(frozen=True)
class Section:
    """A part of the page, as the table of contents has it."""

    name: str
    """Its anchor."""
    title: str
    blocks: tuple[Block, ...]


def row(*cells: str | Cell) -> tuple[Cell, ...]:
    """Cells of a row; text makes a plain one."""
    return tuple(Cell(cell) if isinstance(cell, str) else cell for cell in cells)


def shown(table: Table, most: int, limit: int, what: str) -> list[Block]:
    """The first `most` rows of a table, more up to `limit` folded, the rest told."""
    first = dataclasses.replace(table, rows=table.rows[:most])
    blocks: list[Block] = [first]
    if rest := table.rows[most:limit]:
        title = f"{len(rest)} more {what}"
        more = dataclasses.replace(table, rows=rest, caption="")
        blocks.append(Folded(title, (more,)))
    if left := table.rows[limit:]:
        blocks.append(Notes((f"{len(left)} more {what} are not shown",)))
    return blocks
