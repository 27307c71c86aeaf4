"""What the files of a work directory say, as far as they are there."""

from collections.abc import Mapping
import csv
import io
from typing import Any, NamedTuple

from etils import epath

from cellrec_jax import errors, methods
from cellrec_jax.config import Experiment
from cellrec_jax.predict import provenance
from cellrec_jax.rounds.files import RoundFiles
from cellrec_jax.score import outputs
from cellrec_jax.workdir import checkpoint, model, writer

_LOG = "log.txt"
_WARNING = "warning: "
_LOG_BYTES = 1 << 22  # that are read, from its end
_MOST_ROUNDS = 100


class Predicted(NamedTuple):
    """What `cellrec predict` left in WORKDIR/predict."""

    folder: epath.Path
    facts: Mapping[str, Any]
    """predict.json; empty where it cannot be read."""
    rows: list[dict[str, str]]
    """summary.csv."""
    scores: Mapping[str, Any]
    """scores.json of `cellrec score`; empty where there is none."""


class Found(NamedTuple):
    """A work directory; what is not there is empty."""

    workdir: epath.Path
    config: Mapping[str, Any]
    experiment: Experiment | None
    """None where this version cannot read the configuration."""
    results: Mapping[str, Any]
    meta: Mapping[str, Any]
    """Of the checkpoint that results are of, or else the last one."""
    steps: list[int]
    """Of whole checkpoints."""
    damaged: list[str]
    """Names of checkpoints that were set aside."""
    splits: Mapping[str, list[str]]
    survey: Mapping[str, Any]
    """Image -> fields of `data.survey.Entry`."""
    logged: list[dict[str, Any]]
    """metrics.jsonl."""
    rounds: list[dict[str, Any]]
    per_image: list[dict[str, str]]
    figures: dict[str, epath.Path]
    """Name -> picture."""
    elsewhere: dict[str, Mapping[str, Any]]
    """Name of a folder of `cellrec evaluate` -> its results."""
    predicted: Predicted | None
    warnings: list[str]
    """Of log.txt."""

    @property
    def class_names(self) -> tuple[str, ...]:
        """Of the K classes; none where no checkpoint says."""
        return tuple(self.meta.get("class_names", ()))

    @property
    def run(self) -> Mapping[str, Any]:
        """What results.json says of the run."""
        return _mapping(self.results.get("run"))

    @property
    def metrics(self) -> Mapping[str, Any]:
        """Name -> entry."""
        return _mapping(self.results.get("metrics"))

    @property
    def tables(self) -> Mapping[str, Any]:
        """Confusion, curves and the like."""
        return _mapping(self.results.get("tables"))


def look(workdir: epath.Path) -> Found:
    """Reads a work directory; CheckpointError where it is none."""
    config = writer.read_json(workdir / "config.json")
    if not isinstance(config, dict):
        raise errors.CheckpointError(
            f"{workdir}: holds no config.json; give the --workdir of a training"
        )
    results = _mapping(writer.read_json(workdir / "results.json"))
    steps = checkpoint.complete_steps(workdir)
    step = _mapping(results.get("run")).get("step")
    wanted = [one for one in steps if one == step] or steps
    logged = writer.read_metrics(workdir / "metrics.jsonl")
    aside = sorted(checkpoint.folder(workdir).glob("damaged-*"))
    return Found(
        workdir,
        config,
        _experiment(config),
        results,
        model.glance(workdir, wanted[-1]) if wanted else {},
        steps,
        [one.name for one in aside],
        _mapping(writer.read_json(workdir / "splits.json")),
        _survey(workdir),
        [one for one in logged if isinstance(one, dict) and "step" in one],
        _rounds(workdir),
        _table(workdir / "predictions" / "per_image.csv"),
        {one.name: one for one in sorted((workdir / "figures").glob("*.png"))},
        {
            one.parent.name: _mapping(writer.read_json(one))
            for one in sorted(workdir.glob("evaluate-*/results.json"))
        },
        _predicted(workdir / "predict"),
        _warnings(workdir / _LOG),
    )


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _experiment(config: Mapping[str, Any]) -> Experiment | None:
    try:
        return methods.from_json(config)
    except (errors.UserError, KeyError, TypeError, AttributeError):
        return None


def _survey(workdir: epath.Path) -> Mapping[str, Any]:
    images = _mapping(writer.read_json(workdir / "survey.json")).get("images")
    try:
        return {image: entry for image, (_, entry) in _mapping(images).items()}
    except (TypeError, ValueError):
        return {}


def _rounds(workdir: epath.Path) -> list[dict[str, Any]]:
    files, found = RoundFiles(workdir, {}), []
    for number in range(_MOST_ROUNDS):
        summary = writer.read_json(files.folder(number) / "summary.json")
        if not isinstance(summary, dict):
            break
        found.append(summary)
    return found


def _predicted(folder: epath.Path) -> Predicted | None:
    rows = _table(folder / "summary.csv")
    facts = provenance.told(folder)
    scores = _mapping(writer.read_json(folder / outputs.JSON))
    return Predicted(folder, facts, rows, scores) if rows or facts else None


def _table(path: epath.Path) -> list[dict[str, str]]:
    """Rows of a CSV file, column -> text; what is cut short is left out."""
    try:
        text = path.read_bytes().decode("utf-8", "surrogateescape")
        rows = csv.reader(io.StringIO(text, newline=""))
        columns = next(rows, [])
        return [
            dict(zip(columns, one, strict=True))
            for one in rows
            if len(one) == len(columns)
        ]
    except (OSError, csv.Error):
        return []


def _warnings(path: epath.Path) -> list[str]:
    """What a run's log warns of, each once."""
    try:
        text = path.read_bytes()[-_LOG_BYTES:].decode("utf-8", "replace")
    except OSError:
        return []
    lines = (one.strip() for one in text.splitlines())
    told = (one.removeprefix(_WARNING) for one in lines if one.startswith(_WARNING))
    return list(dict.fromkeys(told))
