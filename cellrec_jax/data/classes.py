"""Class names: from label maps and annotation files, and merging of classes."""

from collections.abc import Iterable, Sequence
import dataclasses
import difflib
import re

from etils.epath import Path
import numpy as np

from cellrec_jax.data.pixels.files import natural_key
from cellrec_jax.data.record import Record, Source, changed
from cellrec_jax.data.text import composed, read_text
from cellrec_jax.data.transforms import select_cells
from cellrec_jax.errors import ConfigError, DataError

LEFT_OUT = "cells of classes not named in data.classes dropped"
IGNORED = "cells of data.ignore_classes ignored"

_ALIKE = 0.5  # of letters in common, for names of one class
_LABEL_LINE = re.compile(r"""^\s*(-?\d+)\s*:\s*(["']?)(.*?)\2\s*(?:\s#.*)?$""")


@dataclasses.dataclass(frozen=True)
class Classes:
    """Names of a set and what its annotation files may call them."""

    names: tuple[str, ...]
    """Class names by class id."""
    ids: dict[str, int]
    """What a file may hold -> class id; whole numbers as plain decimal text."""

    def to_label(self, value: str, place: str) -> int:
        """Class id of a name or number; unknown is a `DataError` that names `place`."""
        if value not in self.ids:
            raise DataError(
                f"{place}: unknown class '{value}'; known: {', '.join(self.ids)}; "
                "correct it or add it to label_map.yaml"
            )
        return self.ids[value]


def classes_from_values(values: Iterable[str]) -> Classes:
    """Classes of the values found, naturally sorted; of none the class 'cell'."""
    names = tuple(sorted(set(values), key=natural_key)) or ("cell",)
    return Classes(names, {name: i for i, name in enumerate(names)})


def label_map(names: Iterable[str]) -> str:
    """The text that `read_label_map` reads, of names in order."""
    return "".join(f"{number}: '{name}'\n" for number, name in enumerate(names))


def read_label_map(path: Path) -> Classes:
    """Reads lines `0: name`, with quotes, blank lines and # comments allowed.

    Class ids follow the order of the numbers. Other lines, numbers or names given twice
    and empty files are a `DataError`.
    """
    numbers: dict[int, str] = {}
    for number, line in enumerate(read_text(path).splitlines(), start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        match = _LABEL_LINE.match(line)
        if not match or not match[3]:
            raise DataError(f"{path} line {number}: write '0: name', not '{line}'")
        if int(match[1]) in numbers or match[3] in numbers.values():
            raise DataError(f"{path} line {number}: '{line.strip()}' is given twice")
        numbers[int(match[1])] = match[3]
    if not numbers:
        raise DataError(f"{path} names no class: write lines such as '0: name'")
    ordered = sorted(numbers)
    names = tuple(numbers[number] for number in ordered)
    by_name = {name: i for i, name in enumerate(names)}
    return Classes(names, by_name | {str(n): i for i, n in enumerate(ordered)})


def merge_classes(
    source: Source, mapping: str, ignored: str = "", size_px: float = 32.0
) -> Source:
    """Renames, merges, selects and ignores the classes of a set.

    `mapping` is `data.classes`: "" keeps all; otherwise new classes in order, such as
    "tumour=positive+negative" or "RBC=RBC,WBC=WBC" ("RBC,WBC" is short for it). Cells
    of classes not named are dropped and counted in `source.repairs`. Those of `ignored`
    ("a,b") are dropped too, and discs of `size_px` px around them are ignored. An
    unknown, repeated or missing name is a `ConfigError`.
    """
    names = [name.strip() for name in composed(ignored).split(",") if name.strip()]
    if not mapping.strip() and not names:
        return source
    known = source.class_names
    for name in names:
        if name not in known:
            raise ConfigError(
                f"data.ignore_classes names '{name}', which the set does not have; "
                f"classes here: {', '.join(known)}"
            )
    left = [name for name in known if name not in names]
    if not left:
        raise ConfigError("data.ignore_classes names all classes: leave one to find")
    groups = _parse_groups(composed(mapping).strip() or ",".join(left), known)
    if twice := sorted(set(names) & {old for olds in groups.values() for old in olds}):
        raise ConfigError(
            f"data.ignore_classes and data.classes both name '{twice[0]}': drop one"
        )
    new_ids = np.full(len(known), -1, np.int32)
    for new_id, old_names in enumerate(groups.values()):
        new_ids[[known.index(name) for name in old_names]] = new_id
    is_ignored = np.isin(known, names)

    def merge(record: Record) -> Record:
        labels, hidden = new_ids[record.labels], is_ignored[record.labels]
        counts = {LEFT_OUT: (labels < 0) & ~hidden, IGNORED: hidden}
        source.repairs.count(
            record.image_id, {k: int(v.sum()) for k, v in counts.items() if v.any()}
        )
        if hidden.any():
            record = with_discs(record, record.points_yx[hidden], size_px)
        return select_cells(dataclasses.replace(record, labels=labels), labels >= 0)

    return changed(source, merge, class_names=tuple(groups))


def suggest_mapping(found: Sequence[str], wanted: Sequence[str]) -> str:
    """A `data.classes` that makes the classes `found` those `wanted`, kept apart.

    Classes of like names belong together, then the others in their order; only a
    single class takes several. Empty where some would have none.

    Example:
      >>> suggest_mapping(("Neg", "stroma", "Pos"), ("positive", "negative"))
      'positive=Pos,negative=Neg'
    """
    if len(wanted) == 1:
        return f"{wanted[0]}={'+'.join(found)}"
    chosen: dict[str, str] = {}
    likeness = {
        (name, old): difflib.SequenceMatcher(None, name.lower(), old.lower()).ratio()
        for name in wanted
        for old in found
    }
    for name, old in sorted(likeness, key=lambda pair: -likeness[pair]):
        free = name not in chosen and old not in chosen.values()
        if free and likeness[name, old] >= _ALIKE:
            chosen[name] = old
    rest = iter([old for old in found if old not in chosen.values()])
    for name in wanted:
        if name not in chosen:
            chosen[name] = next(rest, "")
    if "" in chosen.values():
        return ""
    return ",".join(f"{name}={chosen[name]}" for name in wanted)


def only_given(record: Record, size_px: float) -> Record:
    """The record with the cells alone that a person gave, as those are the truth.

    Discs of `size_px` px around predicted ones are ignored, too.
    """
    if record.trust is None:
        return record
    predicted = (record.trust >= 0) & (record.trust < 1)
    record = with_discs(record, record.points_yx[predicted], size_px)
    given = select_cells(record, np.asarray(record.trust) == 1)
    return dataclasses.replace(given, trust=None)


def with_discs(record: Record, points_yx: np.ndarray, size_px: float) -> Record:
    """The record with discs of `size_px` px around points [n, 2] ignored too."""
    discs = _discs(points_yx, record.image.shape[:2], size_px)
    ignore = discs if record.ignore is None else record.ignore | discs
    return dataclasses.replace(record, ignore=ignore)


def _discs(
    points_yx: np.ndarray, size_hw: tuple[int, ...], size_px: float
) -> np.ndarray:
    """Whether a pixel's middle is within half of `size_px` of a point; bool [H, W]."""
    inside = np.zeros(size_hw, bool)
    reach = size_px / 2
    for y, x in points_yx.tolist():
        top, left = max(0, int(y - reach)), max(0, int(x - reach))
        window = inside[top : int(y + reach) + 1, left : int(x + reach) + 1]
        rows, columns = np.ogrid[: window.shape[0], : window.shape[1]]
        far = (rows + top + 0.5 - y) ** 2 + (columns + left + 0.5 - x) ** 2
        window |= far <= reach**2
    return inside


def _parse_groups(mapping: str, known: tuple[str, ...]) -> dict[str, list[str]]:
    groups: dict[str, list[str]] = {}
    used: set[str] = set()
    for part in mapping.split(","):
        name, equals, olds = (text.strip() for text in part.partition("="))
        old_names = [old.strip() for old in (olds if equals else name).split("+")]
        if not name or "" in old_names or (not equals and len(old_names) > 1):
            raise ConfigError(
                f"data.classes '{mapping}': write NEW=OLD+OLD,NEW=OLD; classes here: "
                f"{', '.join(known)}"
            )
        for old in old_names:
            if old not in known:
                raise ConfigError(
                    f"data.classes names '{old}', which the set does not have; "
                    f"classes here: {', '.join(known)}"
                )
            if old in used:
                raise ConfigError(f"data.classes '{mapping}' names '{old}' twice")
            used.add(old)
        if name in groups:
            raise ConfigError(f"data.classes '{mapping}' gives '{name}' twice")
        groups[name] = old_names
    return groups
