"""Seconds of each stage of all rounds of pseudo labels, from images to results.

Runs `--config c2c12_pseudo:demo` on the images it generates, in a temporary folder.
"""

import dataclasses
from pathlib import Path
import tempfile
import time
from typing import Any

from cellrec_jax.bench import experiments, machine
from cellrec_jax.bench.report import Report, Row, Say, Settings
from cellrec_jax.config import Experiment

CONFIG = "c2c12_pseudo:demo"
_STAGES = {
    "detector_s": "training detectors",
    "peaks_s": "finding peaks",
    "patches_s": "cutting patches",
    "prior_s": "estimating the prior",
    "classifier_s": "training classifiers of patches",
    "extract_s": "extracting features",
    "rank_s": "ranking",
    "measure_s": "measuring and drawing rounds",
}
"""Keys of the seconds in results.json, summed over rounds there."""


def run(settings: Settings, say: Say) -> Report:
    """Measures one run; `steps` of each detector replace the configuration's."""
    try:
        experiment = experiments.load(CONFIG)
    except ImportError as error:
        return Report((), (f"skipped: {error.name} is not installed",))
    if settings.steps:
        experiment = dataclasses.replace(experiment, total_steps=settings.steps)
    say(f"rounds: {CONFIG}, {experiment.total_steps} steps a detector")
    return measure(experiment)


def measure(experiment: Experiment) -> Report:
    """Trains all rounds once: a row a stage with its compilation, one for the rest.

    The notes have F1 on the test images round by round.
    """
    from cellrec_jax import run
    from cellrec_jax.rounds import files as round_files
    from cellrec_jax.workdir import writer

    with tempfile.TemporaryDirectory() as folder:
        begin = time.monotonic()
        run.train_and_evaluate(experiment, Path(folder))
        total_s = time.monotonic() - begin
        results: Any = writer.read_json(Path(folder) / "results.json")
        summaries = round_files.RoundFiles(Path(folder), {}).read_summaries()
    spent = results["run"]["timing"]
    stages = {what: spent.get(key, 0.0) for key, what in _STAGES.items()}
    stages["all else"] = total_s - sum(stages.values())
    rows: list[Row] = [
        {
            "stage": what,
            "seconds": seconds,
            "percent": 100 * seconds / total_s,
            "peak_mib": machine.peak_mib(),
        }
        for what, seconds in stages.items()
    ]
    scores = [one["test"]["F1"] for one in summaries]
    f1 = ", ".join("undefined" if x is None else f"{x:.3f}" for x in scores)
    return Report(tuple(rows), (f"{total_s:.0f} s in all; F1 by round {f1}",))
