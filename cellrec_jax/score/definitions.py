"""Which scores the names of classes allow, found by words in them: one table.

A score is a weighted number of cells above a line, over a number of cells or an area.
Names say what a class is, never the stain: "positive" is that of Ki-67 as of ER, so
that what was guessed is told with each score (`reads`).

References:
  Dowsett et al., Assessment of Ki67 in breast cancer: recommendations from the
  International Ki67 in Breast Cancer Working Group, J Natl Cancer Inst 2011: 500 cells
  or more, better 1000.
  PD-L1 IHC 22C3 pharmDx, interpretation manuals: TPS is the share of viable tumour
  cells that are stained, of 100 or more; CPS counts stained lymphocytes and macrophages
  as well, over the same cells, 100 at most.
  McCarty et al., Estrogen receptor analyses, Arch Pathol Lab Med 1985: the H-score.
"""

from collections.abc import Collection, Sequence
from typing import NamedTuple

import numpy as np

from cellrec_jax.metrics import proportion

_WORDS = {
    "tumour": "tumou?r",
    "immune": "(?:immune|lympho|macrophage|histiocyt|mononuclear|inflammat)",
    "0": r"(?<![a-z0-9.+])0\+?(?![a-z0-9.])",
    "1+": r"(?:(?<![0-9.])1\+|weak)",
    "2+": r"(?:(?<![0-9.])2\+|moderate)",
    "3+": r"(?:(?<![0-9.])3\+|strong)",
    "mitosis": "mito[st]",
    "no mitosis": "(?:look[-_ ]?alike|[-_ ]like|impost|mimic|hard)",
}
"""What a class is -> a pattern in its name, lower case."""


class Least(NamedTuple):
    """Fewer cells below the line than this ask for a warning."""

    number: int
    what: str
    source: str


_KI67 = Least(500, "a Ki-67 index", "Dowsett et al., J Natl Cancer Inst 2011")
_TPS = Least(100, "a TPS", "PD-L1 IHC 22C3 pharmDx, interpretation manual")
_CPS = Least(100, "a CPS", "PD-L1 IHC 22C3 pharmDx, interpretation manual")


class Score(NamedTuple):
    """`scale` times cells weighted by `above` over those of `below`, `most` at most."""

    name: str
    above: tuple[float, ...]
    """K weights of cells above the line."""
    below: tuple[float, ...]
    """K weights of cells below it; all 0 where that is an area, mm2."""
    reads: str
    """How the names were understood."""
    scale: float = 1.0
    most: float = np.inf
    least: tuple[Least, ...] = ()

    @property
    def is_density(self) -> bool:
        """Whether it is per mm2."""
        return not any(self.below)

    @property
    def is_share(self) -> bool:
        """Whether it is a part of the cells below the line, each counted once."""
        return self.scale == 1 and not self.is_density

    def lines(
        self, counts: np.ndarray, area_mm2: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """What stands above and below the line, f64 [S], of counts [S, K] and areas."""
        above = counts @ np.asarray(self.above)
        return above, area_mm2 if self.is_density else counts @ np.asarray(self.below)

    def value(self, counts: np.ndarray, area_mm2: np.ndarray) -> np.ndarray:
        """The score, f64 [S], of counts [S, K] and areas [S]; NaN where undefined."""
        above, below = self.lines(counts, area_mm2)
        out = np.full(above.shape, np.nan)
        np.divide(self.scale * above, below, out=out, where=below > 0)
        return np.minimum(out, self.most)


def find(class_names: Sequence[str]) -> tuple[Score, ...]:
    """All scores that K names allow, and cells per mm2 of each class.

    `positive_index` and `TPS` are those of `proportion.score_definition`; grades 1+ to
    3+, or weak, moderate and strong, are positive too, 0 is negative. `CPS` needs
    positive immune cells beside the tumour's, `H_score` all of 0 (or negative), 1+, 2+
    and 3+. `mitoses_per_mm2` and `per_mm2/CLASS` are cells over an area.

    Example:
      >>> [score.name for score in find(["Tumor: Positive", "Tumor: Negative"])]
      ['TPS', 'per_mm2/Tumor: Positive', 'per_mm2/Tumor: Negative']
    """
    names = tuple(class_names)
    said = {kind: proportion.classes_that_say(_WORDS[kind], names) for kind in _WORDS}
    found = [_share(names, said), _combined(names, said), _h_score(names, said)]
    found.append(_mitoses(names, said))
    for label, name in enumerate(names):
        found.append(
            Score(
                f"per_mm2/{name}",
                _weights({label}, len(names)),
                _weights((), len(names)),
                f"{name} per mm2",
            )
        )
    return tuple(score for score in found if score is not None)


def _weights(labels: Collection[int], num_classes: int) -> tuple[float, ...]:
    return tuple(float(label in labels) for label in range(num_classes))


def _text(names: Sequence[str], labels: Collection[int]) -> str:
    return " + ".join(names[label] for label in sorted(labels))


def _grades(
    names: Sequence[str], said: dict[str, set[int]]
) -> tuple[set[int], set[int], set[int], set[int]]:
    """Classes of intensity 0, 1, 2 and 3; the tumour's alone, where it has some."""
    _, negative = proportion.signs(names)
    graded = [said["1+"], said["2+"], said["3+"]]
    any_grade: set[int] = set().union(*graded)
    zero = (said["0"] | negative) - any_grade
    tumour = said["tumour"] - said["immune"]
    if any_grade & tumour:
        zero, graded = zero & tumour, [one & tumour for one in graded]
    elif said["tumour"]:
        zero, graded = set(), [set(), set(), set()]
    return zero, graded[0], graded[1], graded[2]


def _share(names: tuple[str, ...], said: dict[str, set[int]]) -> Score | None:
    """The share of positive cells: TPS of tumour cells, else an index."""
    cells = said["tumour"] & said["immune"]  # immune cells that are named after it
    plain = [name if i not in cells else "" for i, name in enumerate(names)]
    definition = proportion.score_definition(plain)
    if definition is not None:
        name, above, below = definition
    else:
        zero, *grades = _grades(names, said)
        graded: set[int] = set().union(*grades)
        if not graded or not zero:
            return None
        positive, _ = proportion.signs(names)
        if graded & said["tumour"]:
            positive &= said["tumour"]
        all_positive = graded | (positive - said["immune"])
        name, above = "positive_index", tuple(all_positive)
        below = (*above, *zero)
    reads = f"({_text(names, above)}) / ({_text(names, below)})"
    reads += {
        "TPS": ", a TPS if the stain is PD-L1",
        "positive_index": ", the Ki-67 index if that is the stain",
    }[name]
    least = (_TPS, _KI67) if name == "TPS" else (_KI67,)
    size = len(names)
    return Score(name, _weights(above, size), _weights(below, size), reads, least=least)


def _combined(names: tuple[str, ...], said: dict[str, set[int]]) -> Score | None:
    """CPS: positive tumour and immune cells over tumour cells, in hundredths."""
    positive, negative = proportion.signs(names)
    tumour = said["tumour"] - said["immune"]
    above, immune = positive & tumour, positive & said["immune"]
    below = (positive | negative) & tumour
    if not above or not immune or below == above:
        return None
    reads = (
        f"100 x ({_text(names, above | immune)}) / ({_text(names, below)}), 100 at most"
    )
    size = len(names)
    return Score(
        "CPS",
        _weights(above | immune, size),
        _weights(below, size),
        reads,
        scale=100.0,
        most=100.0,
        least=(_CPS,),
    )


def _h_score(names: tuple[str, ...], said: dict[str, set[int]]) -> Score | None:
    """1 x % weak + 2 x % moderate + 3 x % strong, 0 to 300."""
    grades = _grades(names, said)
    if not all(grades):
        return None
    above = [0.0] * len(names)
    for grade, labels in enumerate(grades):
        for label in labels:
            above[label] = float(grade)
    parts = [_text(names, labels) for labels in grades]
    reads = (
        f"100 x (1 x ({parts[1]}) + 2 x ({parts[2]}) + 3 x ({parts[3]})) / (these + "
        f"{parts[0]}), 0 to 300"
    )
    below = _weights(set.union(*grades), len(names))
    return Score("H_score", tuple(above), below, reads, scale=100.0)


def _mitoses(names: tuple[str, ...], said: dict[str, set[int]]) -> Score | None:
    """Mitotic figures per mm2, without what only looks like them."""
    _, negative = proportion.signs(names)
    labels = said["mitosis"] - said["no mitosis"] - negative
    if not labels:
        return None
    size = len(names)
    reads = f"{_text(names, labels)} per mm2"
    return Score("mitoses_per_mm2", _weights(labels, size), _weights((), size), reads)
