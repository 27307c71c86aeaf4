"""`cellrec export`: what prediction reads of a model, and no more."""

import argparse
from collections.abc import Mapping

from cellrec_jax import errors
from cellrec_jax.verbs import trained
from cellrec_jax.verbs.verb import Verb, console, flag, need, path


def run(flags: argparse.Namespace, pairs: Mapping[str, str]) -> int:
    """Writes the new work directory, or the file and its card."""
    from cellrec_jax import config_files
    from cellrec_jax.workdir import export, model_file

    need(flags, "workdir", "--workdir DIR")
    need(flags, "output", f"--output FOLDER, or NAME{model_file.SUFFIX}")
    to_file = model_file.is_one(flags.output)
    if to_file:
        need(flags, "card", "--card FILE.json with --output of a file")
    elif flags.card:
        raise errors.ConfigError(
            f"--card: is of one file; give --output NAME{model_file.SUFFIX}"
        )
    trained.keep_pixel_size(flags, flags.workdir)
    experiment = config_files.stored(flags.workdir, pairs)
    screen = console(experiment)
    what = flags.workdir, experiment, flags.output
    lines = export.to_file(*what, flags.card) if to_file else export.from_workdir(*what)
    for line in lines:
        screen.line(line)
    return 0


VERB = Verb(
    "export",
    "write what prediction reads of a model into a work directory of its own or a file",
    (
        "cellrec export --workdir runs/demo --output model",
        "cellrec export --workdir runs/demo --output ki67.safetensors --card told.json",
    ),
    run,
    (
        trained.WORKDIR,
        flag(
            "--output",
            "the new work directory, or a file that --model reads, in float16, and its "
            "card beside it",
            often=True,
            type=path,
            metavar="DIR|NAME.safetensors",
        ),
        flag(
            "--card",
            "of a file: JSON that tells what, data (a list of source and licence), "
            "scores and command, as cellrec models prints them",
            often=True,
            type=path,
            metavar="FILE.json",
        ),
        trained.MPP_TRAINED,
    ),
    has_devices=True,
)
