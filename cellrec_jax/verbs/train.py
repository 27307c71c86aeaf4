"""`cellrec train`: from a configuration to a work directory with results."""

import argparse
from collections.abc import Mapping
from pathlib import Path

from etils import epath

from cellrec_jax.verbs.verb import Verb, console, flag, need, path


def run(flags: argparse.Namespace, pairs: Mapping[str, str]) -> int:
    """Trains, or goes on, and evaluates."""
    from cellrec_jax import config_files, models
    from cellrec_jax import run as run_lib

    need(flags, "config", "--config FILE")
    experiment = config_files.experiment(flags.config, pairs)
    workdir = flags.workdir
    if workdir is None:
        name, _, preset = flags.config.partition(":")
        workdir = epath.Path("runs") / "-".join(filter(None, (Path(name).stem, preset)))
    screen = console(experiment)
    init_from = flags.init_from and models.find(flags.init_from)
    if flags.init_from and models.shadowed(flags.init_from):
        screen.line(
            f"--init-from {flags.init_from}: the folder of that name, not the model "
            "that comes with the package"
        )
    return run_lib.train_and_evaluate(experiment, workdir, screen, init_from)


VERB = Verb(
    "train",
    "train a detector and evaluate it; the same command goes on where it stopped",
    (
        "cellrec train --config ki67_bde:demo --workdir runs/demo",
        "cellrec train --config ki67_bde:small --config.data.root=FOLDER",
    ),
    run,
    (
        flag(
            "--config",
            "what and how; cellrec --list names those there are, with --config all "
            "keys of one",
            often=True,
            metavar="FILE|NAME[:PRESET]",
        ),
        flag(
            "--config.data.root",
            "images with annotations; generated ones without it",
            often=True,
            metavar="FOLDER",
        ),
        flag(
            "--workdir",
            "of the run; default runs/NAME-PRESET",
            often=True,
            type=path,
            metavar="DIR",
        ),
        flag(
            "--init-from",
            "start from the weights of a work directory, of a file that cellrec export "
            "wrote, or of a model that comes with the package (cellrec models)",
            type=path,
            metavar="WORKDIR|FILE|NAME",
        ),
    ),
    keys=("",),
    has_several=True,
    has_devices=True,
)
