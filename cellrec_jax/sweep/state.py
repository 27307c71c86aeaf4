"""What a run's configuration is, and whether its folder holds the results of it."""

from collections.abc import Mapping, Sequence
import hashlib
import json
from pathlib import Path
from typing import Any, NamedTuple

from cellrec_jax import config as config_lib
from cellrec_jax import config_files, errors, methods, prior
from cellrec_jax import run as run_lib
from cellrec_jax.config import overrides
from cellrec_jax.rounds import directory as round_directory
from cellrec_jax.sweep import starts
from cellrec_jax.sweep.plan import Run
from cellrec_jax.workdir import writer

_STAGES = (*round_directory.MAY_CHANGE, *prior.MAY_CHANGE)
_MAY_CHANGE = (*config_lib.MAY_CHANGE, *_STAGES)
_NO_MATTER = tuple(key for key in _MAY_CHANGE if key != "eval")


class Job(NamedTuple):
    """A run with all that its configuration says."""

    run: Run
    workdir: Path
    settings: Mapping[str, Any]
    """Dotted key -> value as JSON holds it."""
    digest: str = ""
    """Of the settings, see `digest`."""
    of_folder: str = ""
    """The same of images in a folder, where none is given but their format is."""
    start: str = ""
    """`starts.identity` of the weights that it starts from; "" of fresh ones."""


def prepare(run: Run, folder: Path, start: str = "") -> Job:
    """Resolves a run's configuration before any run; UserError names it if refused.

    `start`: see `Job`.
    """
    try:
        settings = config_files.load(run.config)
        for key, text in run.overrides.items():
            overrides.override(settings, key, text)
        experiment = methods.freeze(settings)
        run_lib.check(experiment, methods.build(experiment, num_classes=1))
    except errors.UserError as error:
        raise type(error)(f"{run.name}: {error}") from error
    settings = methods.flatten(experiment)
    plain = methods.flatten(methods.freeze({"method": experiment.method}))
    elsewhere = ""
    if settings["data.root"] == "synthetic" and settings["data.format"] != "auto":
        elsewhere = digest({**settings, "data.root": ""}, plain, start)
    own = digest(settings, plain, start)
    return Job(run, folder / run.name, settings, own, elsewhere, start)


def digest(
    settings: Mapping[str, Any], defaults: Mapping[str, Any], start: str = ""
) -> str:
    """Twelve hexadecimal digits that runs of one configuration share.

    Of what changes results and is not at its default (of an experiment that sets
    nothing), so that later keys keep it; and of the weights it starts from, if any.
    Left out: `data.root` and, with it, generation.
    """
    no_matter = (*_no_matter(settings), "data.root")
    matters = {
        key: value
        for key, value in sorted(settings.items())
        if value != defaults.get(key) and not key.startswith(no_matter)
    }
    text = json.dumps([settings["method"], matters, *([start] if start else [])])
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def results(job: Job, ignored: Sequence[str] = ()) -> Mapping[str, Any] | None:
    """Content of results.json, if it is there and is of the job's configuration.

    Also of its weights at the start, as `starts.remember` left them there.
    Keys in `ignored` may differ; those an older version lacked count as their defaults.
    """
    found = writer.read_json(job.workdir / "results.json")
    stored = writer.read_json(job.workdir / "config.json")
    if not isinstance(found, dict) or not isinstance(stored, dict):
        return None
    if starts.remembered(job.workdir) != job.start:
        return None
    try:
        before = methods.flatten(methods.from_json(stored))
    except errors.ConfigError:  # of a version with other keys
        return None
    no_matter = _no_matter(job.settings)
    for key, value in job.settings.items():
        may_differ = key.startswith(no_matter) or key in ignored
        if not may_differ and before.get(key) != value:
            return None
    return found


def _no_matter(settings: Mapping[str, Any]) -> tuple[str, ...]:
    """Starts of the keys that change neither the training nor the results."""
    if settings.get("data.root") == "synthetic":
        return _NO_MATTER
    return (*_NO_MATTER, "data.synthetic_")
