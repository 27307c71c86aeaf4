"""Which runs a sweep asks for: its rows x axes x seeds x folds."""

from collections.abc import Iterable, Mapping, Sequence
import dataclasses
import difflib
import itertools
from pathlib import PurePath

from cellrec_jax import errors


@dataclasses.dataclass(frozen=True)
class Axis:
    """Settings that rows are crossed with."""

    choices: Mapping[str, Mapping[str, str]]
    """Value as text -> its overrides."""
    numbers: tuple[float, ...] = ()
    """The values, if all are numbers."""


@dataclasses.dataclass(frozen=True)
class Row:
    """One method of the table."""

    config: str
    label: str
    overrides: Mapping[str, str]
    axes: tuple[str, ...]
    paper: Mapping[str, float | tuple[float, ...]]
    """Metric -> the paper's value, or one for each value of the row's only axis."""
    init_from: str = ""
    """Weights that its runs start from, as for --init-from; "" if from fresh ones."""


@dataclasses.dataclass(frozen=True)
class Pair:
    """Two rows that are compared image by image."""

    row: str
    against: str
    """A row that is crossed with no axis but those of `row`."""
    metric: str
    """F1 at the match radius, as `F1@12px` or `F1@12px/CLASS`."""


@dataclasses.dataclass(frozen=True)
class Sweep:
    """What a sweep file says."""

    name: str
    title: str
    rows: Mapping[str, Row]
    metrics: tuple[str, ...]
    axes: Mapping[str, Axis] = dataclasses.field(default_factory=dict)
    seeds: tuple[int, ...] = (0,)
    seed_keys: tuple[str, ...] = ("seed",)
    folds: int = 0
    x: str = ""
    """Axis of the figure; "" draws bars, or each of several `groups` over its own."""
    pairs: tuple[Pair, ...] = ()


@dataclasses.dataclass(frozen=True)
class Run:
    """One training: where it lies below the sweep's folder, and what it sets."""

    row: str
    config: str
    axes: Mapping[str, str]
    """Axis -> value as text."""
    seed: int
    fold: int | None
    overrides: Mapping[str, str]
    init_from: str = ""
    """As of its row."""

    @property
    def name(self) -> str:
        """Its folder below the sweep's, as `ours/q=0.4/seed0/fold1`."""
        parts = [self.row, *(f"{axis}={value}" for axis, value in self.axes.items())]
        fold = [] if self.fold is None else [f"fold{self.fold}"]
        return str(PurePath(*parts, f"seed{self.seed}", *fold))


def groups(rows: Mapping[str, Row]) -> list[dict[str, Row]]:
    """Rows that one drawing can hold.

    All if those with axes share one; else by combination of axes, those without apart.
    """
    crossed = [set(row.axes) for row in rows.values() if row.axes]
    if not crossed or set.intersection(*crossed):
        return [dict(rows)]
    found: dict[frozenset[str], dict[str, Row]] = {}
    for name, row in rows.items():
        found.setdefault(frozenset(row.axes), {})[name] = row
    return list(found.values())


def printed(
    sweep: Sweep, row: str, axes: Mapping[str, str], metric: str
) -> float | None:
    """The paper's value of a row at axis values; None where it has none."""
    found = sweep.rows[row].paper.get(metric)
    if not isinstance(found, tuple):
        return found
    (axis,) = sweep.rows[row].axes
    return found[list(sweep.axes[axis].choices).index(axes[axis])]


def expand(sweep: Sweep, extra: Mapping[str, str]) -> tuple[Run, ...]:
    """Lists all runs, seeds outermost, so that a sweep cut short compares all rows.

    ConfigError if `extra`, of the command line, sets a key that the runs differ in.
    """
    varied = dict.fromkeys(sweep.seed_keys, "seed")
    varied |= dict.fromkeys(_fold(sweep, 0), "fold")
    for name, axis in sweep.axes.items():
        varied |= dict.fromkeys(itertools.chain(*axis.choices.values()), name)
    for key in extra.keys() & varied.keys():
        raise errors.ConfigError(
            f"--set {key}: runs differ in it; choose by --only {varied[key]}=VALUE"
        )
    folds = range(sweep.folds) if sweep.folds else (None,)
    return tuple(
        _run(sweep, name, dict(zip(row.axes, values, strict=True)), seed, fold, extra)
        for seed, fold in itertools.product(sweep.seeds, folds)
        for name, row in sweep.rows.items()
        for values in itertools.product(*(sweep.axes[a].choices for a in row.axes))
    )


def select(runs: Sequence[Run], only: Sequence[str]) -> tuple[Run, ...]:
    """Chooses runs by rows (`ours`) and by values (`q=0.4`, `seed=0`, `fold=1`).

    Alternatives of one kind add up, kinds narrow; a run without an axis has no value of
    it. ConfigError, naming the nearest, for a word that no run has.
    """
    known = {word: None for run in runs for word in _words(run)}
    wanted: dict[str, set[str]] = {}  # kind -> alternatives
    for word in only:
        if word not in known:
            near = difflib.get_close_matches(word, known, n=1, cutoff=0.0)
            raise errors.ConfigError(
                f"--only {word}: no run of the sweep has it; did you mean {near[0]}?"
            )
        kind, equals, _ = word.partition("=")
        wanted.setdefault(kind if equals else "row", set()).add(word)
    kinds = wanted.values()
    return tuple(run for run in runs if all(words & _words(run) for words in kinds))


def pick(runs: Sequence[Run], number: int) -> Run:
    """The run at a place, from 0; ConfigError if there are fewer."""
    if not 0 <= number < len(runs):
        last = f", the last is --run {len(runs) - 1}" if runs else ""
        raise errors.ConfigError(
            f"--run {number}: of {len(runs)} runs{last}; --dry-run numbers them"
        )
    return runs[number]


def ranges(numbers: Iterable[int]) -> str:
    """Writes ascending numbers as array jobs take them: `0-2,5`."""
    parts: list[list[int]] = []
    for number in numbers:
        if parts and parts[-1][-1] == number - 1:
            parts[-1].append(number)
        else:
            parts.append([number])
    return ",".join("-".join(map(str, dict.fromkeys((p[0], p[-1])))) for p in parts)


def _words(run: Run) -> set[str]:
    words = {run.row, f"seed={run.seed}", f"fold={run.fold}"}
    return words | {f"{axis}={value}" for axis, value in run.axes.items()}


def _run(
    sweep: Sweep,
    name: str,
    chosen: Mapping[str, str],
    seed: int,
    fold: int | None,
    extra: Mapping[str, str],
) -> Run:
    row = sweep.rows[name]
    settings = dict(row.overrides)
    for axis, value in chosen.items():
        settings |= sweep.axes[axis].choices[value]
    settings |= {key: str(seed) for key in sweep.seed_keys}
    settings |= {} if fold is None else _fold(sweep, fold)
    settings |= extra
    return Run(name, row.config, chosen, seed, fold, settings, row.init_from)


def _fold(sweep: Sweep, fold: int) -> dict[str, str]:
    if not sweep.folds:
        return {}
    return {"data.num_folds": str(sweep.folds), "data.fold": str(fold)}
