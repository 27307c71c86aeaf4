"""`cellrec convert`: an annotated set in the format of another program."""

import argparse
from collections.abc import Mapping

from cellrec_jax import errors
from cellrec_jax.verbs import failures
from cellrec_jax.verbs.verb import Verb, Words, above_0, flag, need, path


def run(flags: argparse.Namespace, pairs: Mapping[str, str]) -> int:
    """Writes it; 1 where some images cannot be read, 2 where none can."""
    from cellrec_jax.convert import folder
    from cellrec_jax.data import readers
    from cellrec_jax.data.readers import one_file
    from cellrec_jax.io.console import Console

    del pairs  # it reads none
    if len(flags.words) != 1:
        raise errors.ConfigError(
            f"{flags.called} needs one FOLDER or FILE, here are {len(flags.words)}"
        )
    need(flags, "to", "--to FORMAT")
    need(flags, "output", "--output FOLDER")
    place, screen = path(flags.words[0]), Console()
    opened = one_file.open_file if place.is_file() else readers.open_source
    source = opened(place, flags.format or "auto", flag="--format ")
    outcome = folder.write(
        source,
        flags.to,
        flags.output,
        images=flags.images or folder.IMAGES[0],
        box_px=flags.box,
        track=screen.track,
    )
    kinds = ", ".join(f"{name} {count}" for name, count in outcome.num_cells.items())
    screen.line(f"{place}: {source.format}, {len(source.image_ids)} images")
    for what, count in sorted(source.repairs.items()):
        screen.line(f"repaired: {count} {what}")
    for what, count in sorted(outcome.lost.items()):
        screen.line(f"{flags.to}: {count} {what}")
    screen.line(
        f"{flags.output}: {flags.to}, {outcome.num_images} images, "
        f"{outcome.num_cells.total()} cells: {kinds}"
    )
    if not flags.images or flags.images == "none":
        screen.line(f"the images belong into {flags.output / 'images'}: --images copy")
    return failures.tell(
        outcome.failed, len(source.image_ids), "images", flags.output / folder.FILE
    )


VERB = Verb(
    "convert",
    "write annotations, and predictions, in the format of another program",
    (
        "cellrec convert FOLDER --to qupath --output for_qupath",
        "cellrec convert project.json --to coco --output set --images copy",
        "cellrec convert FOLDER --to yolo --box 24 --output set --images link",
    ),
    run,
    (
        flag(
            "--to",
            "qupath, csv, table, coco, voc, yolo, cvat, label_studio, grand_challenge, "
            "ocelot or label_images",
            often=True,
            default="",
            metavar="FORMAT",
        ),
        flag("--output", "a new folder", often=True, type=path, metavar="DIR"),
        flag(
            "--images",
            "put them into DIR/images as well: copy, link or none (default)",
            often=True,
            choices=("none", "copy", "link"),
            default="",
        ),
        flag(
            "--format",
            "of what is read, where several fit: a name of data.format",
            default="",
            metavar="FORMAT",
        ),
        flag(
            "--box",
            "draw boxes of this side around points",
            type=above_0("box", "px"),
            default=0.0,
            metavar="PX",
        ),
    ),
    Words("FOLDER|FILE", "an annotated folder, or one annotation file with its images"),
)
