"""`cellrec check`: faults of an annotated folder."""

import argparse
from collections.abc import Callable, Iterable, Mapping
import json
from typing import Any

from etils import epath

from cellrec_jax import errors
from cellrec_jax.verbs import trained
from cellrec_jax.verbs.verb import Verb, Words, flag, micrometres, need, path


def run(flags: argparse.Namespace, pairs: Mapping[str, str]) -> int:
    """Tells what is found; 1 where anything is above a note."""
    from cellrec_jax.check import folder, opened, outputs, rules, text
    from cellrec_jax.io.console import Console

    if len(flags.words) != 1:
        need(flags, "words", "the folder of the annotated images")
        raise errors.ConfigError(
            f"{flags.called} takes one folder, not {len(flags.words)}: call it for each"
        )
    config = _config(flags.words[0], pairs)
    limits = folder.Limits(flags.radius_px, flags.mpp)
    if flags.least_cells:
        limits = limits._replace(least_cells=flags.least_cells)
    screen = Console(quiet=flags.json)
    workdir, told, notes = trained.place(flags), None, ()
    with opened.opened(config.root, config.format, flags.mpp) as found:
        source = folder.of_classes(found.source, config)
        report = folder.check(source, config, limits, found.findings, screen.track)
        findings = report.findings
        if workdir:
            asked = _ask(flags, workdir, source, report, screen.track)
            told, notes = asked.estimate, asked.notes
            findings = folder.ordered([*findings, *asked.findings])
        report = report._replace(findings=rules.on_slides(findings, source.parts))
    if flags.output:
        outputs.write(flags.output, report.findings)
    if flags.json:
        print(json.dumps(outputs.to_json(report, told, notes)))  # noqa: T201
    else:
        lines = text.lines(report)
        lines += [] if told is None else ["", *text.of_estimate(told, notes)]
        written = "nothing is written: --output DIR writes"
        if flags.output:
            written = f"{flags.output} has"
        lines.append(f"{written} check.csv, and check/IMAGE.geojson for QuPath")
        for line in lines:
            screen.line(line)
    is_fine = rules.worst(report.findings) in (None, rules.NOTE)
    return 0 if is_fine else errors.RunError.exit_code


def _config(word: str, pairs: Mapping[str, str]) -> Any:
    """Keys of `data`, of the folder."""
    import dataclasses

    from cellrec_jax.config import DataConfig, overrides

    tree = {"data": dataclasses.asdict(DataConfig(root=word))}
    for key, value in pairs.items():
        overrides.override(tree, key, value)
    return DataConfig(**tree["data"])


def _ask(
    flags: argparse.Namespace,
    workdir: epath.Path,
    source: Any,
    report: Any,
    track: Callable[[Iterable[Any], str], Iterable[Any]],
) -> Any:
    """What a model says of the images that can be read."""
    from cellrec_jax import startup
    from cellrec_jax.check import by_model

    startup.keep_compiled(flags.cache)
    startup.check_devices()
    ids = [one.image_id for one in report.images]
    return by_model.ask(
        workdir, source, ids, report.root, flags.mpp, flags.threshold, track
    )


def _at_least_0(name: str, kind: Callable[[str], Any]) -> Callable[[str], Any]:
    """Type of a flag of this name."""

    def number(text: str) -> Any:
        value = kind(text)
        if not 0 <= value < 1e6:
            raise errors.ConfigError(f"--{name} {text}: give 0 or more")
        return value

    return number


VERB = Verb(
    "check",
    "look for faults in annotated images: doubled, misplaced and missing cells, leaks",
    (
        "cellrec check FOLDER",
        "cellrec check FOLDER --output found --workdir runs/demo",
        "cellrec check FOLDER --config.data.format=bcdata --json",
    ),
    run,
    (
        flag(
            "--output",
            "where check.csv and check/IMAGE.geojson go; without it nothing is written",
            often=True,
            type=path,
            metavar="DIR",
        ),
        trained.WORKDIR,
        trained.MODEL,
        trained.THRESHOLD,
        flag(
            "--radius-px",
            "cells nearer to each other are told; default an eighth of a cell's size",
            type=_at_least_0("radius-px", float),
            default=0.0,
            metavar="PX",
        ),
        flag(
            "--mpp",
            "um per px that all images should have",
            type=micrometres("mpp"),
            default=0.0,
            metavar="UM",
        ),
        flag(
            "--least-cells",
            "classes of fewer cells are told, default 20",
            type=_at_least_0("least-cells", int),
            default=0,
            metavar="N",
        ),
        flag("--json", "print one JSON object, on one line", action="store_true"),
    ),
    Words("FOLDER", "of images and annotations, in any format that training reads"),
    keys=(
        *("data.format", "data.classes", "data.ignore_classes", "data.box_size"),
        *("data.train_ids", "data.val_ids", "data.test_ids"),
    ),
)
