"""`cellrec report`: one HTML file about a trained model."""

import argparse
from collections.abc import Mapping

from cellrec_jax import errors
from cellrec_jax.verbs.verb import Verb, Words, flag, path


def run(flags: argparse.Namespace, pairs: Mapping[str, str]) -> int:
    """Writes it, and says where."""
    from cellrec_jax.report import page

    del pairs  # it reads none
    if len(flags.words) != 1:
        raise errors.ConfigError(f"{flags.called} needs one WORKDIR")
    place = page.write(path(flags.words[0]), flags.output, anonymize=flags.anonymize)
    print(f"{place}: open it in a browser")  # noqa: T201
    return 0


VERB = Verb(
    "report",
    "write one HTML file about a trained model and what it predicted",
    (
        "cellrec report runs/demo",
        "cellrec report runs/demo --anonymize --output demo.html",
    ),
    run,
    (
        flag(
            "--output",
            "default WORKDIR/report.html",
            often=True,
            type=path,
            metavar="FILE",
        ),
        flag(
            "--anonymize",
            "names of images and folders become short hashes, the same in every "
            "report; who has a list of names can still try them",
            often=True,
            action="store_true",
        ),
    ),
    Words("WORKDIR", "of a training, whether it has ended or not"),
)
