"""`cellrec export`: a work directory of what prediction reads, and no more."""

import argparse
from collections.abc import Mapping

from cellrec_jax.verbs import trained
from cellrec_jax.verbs.verb import Verb, console, flag, need, path


def run(flags: argparse.Namespace, pairs: Mapping[str, str]) -> int:
    """Writes the new work directory."""
    from cellrec_jax import config_files
    from cellrec_jax.workdir import export

    need(flags, "workdir", "--workdir DIR")
    need(flags, "output", "--output FOLDER")
    experiment = config_files.stored(flags.workdir, pairs)
    screen = console(experiment)
    for line in export.from_workdir(flags.workdir, experiment, flags.output):
        screen.line(line)
    return 0


VERB = Verb(
    "export",
    "write what prediction reads of a model into a work directory of its own",
    ("cellrec export --workdir runs/demo --output model",),
    run,
    (
        trained.WORKDIR,
        flag(
            "--output", "the new work directory", often=True, type=path, metavar="DIR"
        ),
    ),
    has_devices=True,
)
