"""`cellrec score`: scores of clinical research from cells that were predicted."""

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cellrec_jax import errors
from cellrec_jax.verbs import trained
from cellrec_jax.verbs.verb import Verb, Words, flag, micrometres, need, path

if TYPE_CHECKING:
    from cellrec_jax.io.console import Console
    from cellrec_jax.score.correct import Mistakes
    from cellrec_jax.score.sheets import Results


def run(flags: argparse.Namespace, pairs: Mapping[str, str]) -> int:
    """Reads results, and writes and tells their scores."""
    from cellrec_jax.io.console import Console
    from cellrec_jax.score import definitions, estimate, measure, outputs, text
    from cellrec_jax.score import results as results_lib

    need(flags, "words", "a folder that cellrec predict wrote, or tables of cells")
    _check_calibration(flags, pairs)
    found = results_lib.read(flags.words, flags.mpp)
    if not found.sheets:
        raise errors.DataError(f"{flags.words[0]}: no image there could be predicted")
    screen = Console()
    for line in found.notes:
        screen.line(line)
    scores = definitions.find(found.class_names)
    mistakes = None
    if flags.calibrate:
        mistakes = _mistakes(flags, pairs, found, screen)
    by = None if mistakes is None else estimate.correction(mistakes)
    hot_spot_mm2 = flags.hotspot_mm2 or 1.0
    rows = measure.rows(found, scores, hot_spot_mm2, by)
    first = Path(flags.words[0]).expanduser()
    output = flags.output or (first if first.is_dir() else first.parent)
    about: dict[str, Any] = {"results": [str(Path(one)) for one in flags.words]}
    told = None
    if mistakes is not None:
        told = {
            "folder": str(flags.calibrate),
            "num_fields": mistakes.num_fields,
            "drawn_again": mistakes.what,
            "counts": mistakes.counts.sum(axis=0).tolist(),
            "rows": "annotated classes, false detections",
            "columns": "predicted classes, missed cells",
        }
    outputs.write(Path(output), found, scores, rows, about, told)
    for line in text.lines(found, scores, rows, hot_spot_mm2):
        screen.line(line)
    screen.line(f"scores: {output}")
    return 0


def _check_calibration(flags: argparse.Namespace, pairs: Mapping[str, str]) -> None:
    """What goes together and what does not."""
    if flags.calibrate:
        trained.need_place(flags, ", of the results, with --calibrate")
    elif flags.workdir or flags.model or pairs:
        what = f"--config.{next(iter(pairs), '')}"
        what = "--model" if flags.model else what
        what = "--workdir" if flags.workdir else what
        raise errors.ConfigError(
            f"{what}: is read with --calibrate alone; leave it out"
        )


def _mistakes(
    flags: argparse.Namespace,
    pairs: Mapping[str, str],
    found: "Results",
    screen: "Console",
) -> "Mistakes":
    """What the model gets wrong in the annotated folder."""
    from cellrec_jax import config_files, startup
    from cellrec_jax.score import calibrate

    startup.keep_compiled(flags.cache)
    startup.check_devices()
    root = str(flags.calibrate.absolute())
    settings: Any = found.model.get("settings", {})
    mpp = settings.get("mpp", 0)  # the --mpp or --mpp-all that predict was given
    if not any(one.mpp for one in found.sheets):  # or that it chose
        mpp = settings.get("scale", 0) * settings.get("mpp_trained", 0)
    of_all = mpp if settings.get("mpp_all") else 0
    own = {"data.format": "auto", "data.mpp": str(of_all), "data.test_ids": ""}
    own |= {"data.ignore_classes": "", "data.marked_share": "1"}
    workdir = trained.need_place(flags)
    experiment = config_files.stored(workdir, {**own, **pairs, "data.root": root})
    if not settings:
        screen.line(
            "warning: no predict.json says which model made the tables: that of "
            "--workdir or --model is taken to be it"
        )
    is_scaled = not flags.mpp and all(one.mpp for one in found.sheets)
    mistakes, class_names = calibrate.measure(
        workdir, experiment, settings, screen, is_scaled=is_scaled, mpp=mpp
    )
    if class_names != found.class_names:
        raise errors.DataError(
            f"the tables' classes ({', '.join(found.class_names)}) are not the model's "
            f"({', '.join(class_names)})"
        )
    for line in calibrate.lines(mistakes, class_names):
        screen.line(line)
    return mistakes


def _area(text: str) -> float:
    area = float(text)
    if not 0.01 <= area <= 100:
        raise errors.ConfigError(f"--hotspot-mm2 {text}: give 0.01 to 100 mm2")
    return area


VERB = Verb(
    "score",
    "Ki-67 index, TPS, CPS, H-score, mitoses and cells per mm2 of predicted cells",
    (
        "cellrec score found",
        "cellrec score found --calibrate FIELDS --workdir runs/mine",
        "cellrec score found/SLIDE.svs.geojson --output corrected",
    ),
    run,
    (
        flag(
            "--calibrate",
            "annotated fields of the same laboratory, six or more: what the model of "
            "--workdir gets wrong there corrects counts, told beside the plain ones",
            often=True,
            type=path,
            metavar="FOLDER",
        ),
        trained.WORKDIR,
        trained.MODEL,
        flag(
            "--output",
            "for scores.json, scores.csv and hot spots; default the folder of the "
            "results",
            often=True,
            type=path,
            metavar="DIR",
        ),
        flag(
            "--hotspot-mm2",
            "area of the field of 500 cells or more with the highest index; default 1",
            type=_area,
            default=0.0,
            metavar="MM2",
        ),
        flag(
            "--mpp",
            "um per px of the results, instead of what they say",
            type=micrometres("mpp"),
            default=0.0,
            metavar="UM",
        ),
    ),
    Words("RESULTS", "a folder that cellrec predict wrote, or tables or GeoJSON files"),
    keys=("data.", "eval.", "predict."),
)
