"""`cellrec predict`: images and slides to tables, GeoJSON and maps of their cells."""

import argparse
from collections.abc import Mapping

from cellrec_jax import errors
from cellrec_jax.verbs import chosen, failures, kinds, slide_flags, trained
from cellrec_jax.verbs.verb import Verb, Words, console, flag, need, path

_SIGNAL = 128
"""Exit codes from here on are of signals, which end all."""


def run(flags: argparse.Namespace, pairs: Mapping[str, str]) -> int:
    """Predicts, or goes on; 1 where some images failed, 2 where all did."""
    from cellrec_jax import config_files
    from cellrec_jax.predict import files, inputs, predictor, summary
    from cellrec_jax.predict.options import ImageOptions
    from cellrec_jax.predict.slide import many, naming

    words = [*flags.words, *filter(None, [flags.input])]
    if not words:
        need(flags, "words", "--input FILE|FOLDER|GLOB, or such words")
    mpp = trained.mpp(flags)
    found = inputs.look(*words)
    every, notes = naming.without_parts(found.paths)
    place, lines = chosen.model(flags, every)
    output = flags.output or chosen.folder(place)
    trained.keep_pixel_size(flags, place)
    experiment = config_files.stored(place, pairs)
    screen = console(experiment)
    parts, unsure = kinds.split(every, every_tiff=flags.slides == "all")
    is_mixed = all(parts.values())
    if parts["slides"]:
        wanted = slide_flags.options(flags, alone=not is_mixed)
    if parts["images"]:
        slide_flags.refuse(flags, alone=not is_mixed)
    model = predictor.load(
        place,
        batch=experiment.predict.batch,
        threshold=flags.threshold,
        quick=flags.quick or not parts["images"],
    )
    trained.tell_quick(flags, experiment.eval)
    told = (*found.notes, *notes, *unsure)
    if is_mixed:
        told += slide_flags.unread(flags, *map(len, parts.values()))
    for line in (*told, *lines, *model.view_lines(), *model.model.threshold_lines()):
        screen.line(line)
    codes = []
    for kind, paths in parts.items():
        folder = output / kind if is_mixed else output
        if not paths:
            continue
        if kind == "slides":
            outcome = many.predict_slides(model, paths, folder, screen, wanted)
        else:
            outcome = files.predict_files(
                model,
                paths,
                folder,
                screen,
                ImageOptions(
                    mpp,
                    mpp_for_all=bool(flags.mpp_all),
                    margin_px=flags.margin,
                    geometry=flags.geometry or "point",
                    all_scores=flags.all_scores,
                    scale=chosen.scale(flags, model, paths, folder, screen),
                    overwrite=flags.overwrite,
                    refuse_unlike=trained.place(flags) is None,
                ),
            )
        if outcome.exit_code >= _SIGNAL:
            return outcome.exit_code
        table = folder / summary.FILE
        failures.tell_damage(outcome.damaged, len(paths), table)
        code = failures.tell(outcome.failed, len(paths), kind, table)
        codes.append(max(code, outcome.exit_code))
    return codes[0] if len(set(codes)) == 1 else errors.RunError.exit_code


def _margin(text: str) -> int:
    if not text.isdecimal():
        raise errors.ConfigError(f"--margin {text}: give 0 px or more")
    return int(text)


_FLAGS = (
    trained.WORKDIR,
    trained.MODEL,
    flag("--input", "the same as the words", often=True, metavar="FILE|FOLDER|GLOB"),
    flag(
        "--output",
        "result folder, default WORKDIR/predict, without --workdir predict",
        often=True,
        type=path,
        metavar="DIR",
    ),
    trained.THRESHOLD,
    flag(
        "--all-scores",
        "detections.csv has all that was found, whatever its score, and a column kept "
        "(1, 0) of what is a cell; where images are seen in several views, without "
        "what a view scores below 0.02",
        action="store_true",
    ),
    flag(
        "--geometry",
        "what a cell is in GeoJSON, default point; box where the method predicts "
        "boxes; circle, of slides",
        choices=("point", "box", "circle"),
        default="",
    ),
    flag(
        "--margin",
        "px, at the training images' scale, that each tile of a large image sees "
        "beyond its own part; default: a cell's box. From the network's receptive "
        "radius on as if there were no tiles (configs/README.md)",
        type=_margin,
        default=0,
        metavar="PX",
    ),
    trained.MPP,
    trained.MPP_ALL,
    trained.QUICK,
    flag(
        "--overwrite",
        "replace files in --output that were changed after they were written, as by "
        "corrections, and what was found of slides with other settings",
        action="store_true",
    ),
    trained.MPP_TRAINED,
    kinds.SLIDES,
    *slide_flags.FLAGS,
)

VERB = Verb(
    "predict",
    "find the cells of images or slides: tables, GeoJSON for QuPath, overlays",
    (
        "cellrec predict IMAGE.png",
        "cellrec predict IMAGE.png FOLDER --workdir runs/demo --output found",
        "cellrec predict 'images/**/*.tif' --workdir runs/demo --mpp 0.25",
        "cellrec predict SLIDE.svs --workdir runs/demo --output found --gz",
        "cellrec predict SLIDE.svs --workdir runs/demo --roi SLIDE.geojson",
        "cellrec predict 'slides/*.svs' --workdir runs/demo --roi FOLDER",
        "cellrec predict SLIDE.svs --workdir runs/demo --density-um 100 --tissue off",
        "cellrec predict REGION.ome.tif --workdir runs/demo --slides all --mpp 0.25",
        "cellrec predict 'slides/*.svs' --workdir runs/demo --output found --shard 0/4",
    ),
    run,
    _FLAGS,
    Words("FILE|FOLDER|GLOB", "images or slides, folders, or quoted patterns"),
    keys=("predict.",),
    has_several=True,
    has_devices=True,
)
