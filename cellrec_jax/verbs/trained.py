"""Flags of verbs that use a trained work directory, and what they keep there."""

import argparse

from cellrec_jax import errors
from cellrec_jax.verbs.verb import flag, micrometres, path


def _score(text: str) -> float:
    score = float(text)
    if not 0 <= score < 1:  # 0 is that of the work directory
        raise errors.ConfigError(
            f"--threshold {score:g}: give a score between 0 and 1, such as 0.3"
        )
    return score


WORKDIR = flag("--workdir", "of a trained model", often=True, type=path, metavar="DIR")
THRESHOLD = flag(
    "--threshold",
    "least score of a cell, instead of the fitted one",
    often=True,
    type=_score,
    default=0.0,
    metavar="SCORE",
)
MPP_TRAINED = flag(
    "--mpp-trained",
    "um per px of the images that --workdir was trained on, where these did not say; "
    "is kept there",
    type=micrometres("mpp-trained"),
    default=0.0,
    metavar="UM",
)


def keep_pixel_size(flags: argparse.Namespace) -> None:
    """Keeps `--mpp-trained` in the work directory."""
    from cellrec_jax import hosts
    from cellrec_jax.workdir import model, pixel_size

    if not flags.mpp_trained:
        return
    trained = model.stored_meta(flags.workdir)["mpp"]
    hosts.wait("the pixel size is read")  # before the first process changes it
    pixel_size.keep(flags.workdir, flags.mpp_trained, trained)
    if hosts.is_first():
        print(  # noqa: T201
            f"{flags.workdir / pixel_size.FILE} keeps {flags.mpp_trained:g} um per px "
            "of the training images; delete it to take that back"
        )
