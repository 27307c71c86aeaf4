"""Flags of verbs that use a trained work directory, and what they keep there."""

import argparse
import sys
from typing import TYPE_CHECKING

from etils import epath

from cellrec_jax import errors
from cellrec_jax.verbs.verb import flag, micrometres, path

if TYPE_CHECKING:
    from cellrec_jax.config import EvalConfig


def _score(text: str) -> float:
    score = float(text)
    if not 0 <= score < 1:  # 0 is that of the work directory
        raise errors.ConfigError(
            f"--threshold {score:g}: give a score between 0 and 1, such as 0.3"
        )
    return score


WORKDIR = flag("--workdir", "of a trained model", often=True, type=path, metavar="DIR")
MODEL = flag(
    "--model",
    "one that comes with the package (cellrec models), or a file that cellrec export "
    "wrote, instead of --workdir",
    often=True,
    metavar="NAME|FILE.safetensors",
)
THRESHOLD = flag(
    "--threshold",
    "least score of a cell, instead of the fitted one",
    often=True,
    type=_score,
    default=0.0,
    metavar="SCORE",
)
MPP = flag(
    "--mpp",
    "um per px of files that do not say it",
    type=micrometres("mpp"),
    default=0.0,
    metavar="UM",
)
MPP_ALL = flag(
    "--mpp-all",
    "um per px of all files, instead of what they say",
    type=micrometres("mpp-all"),
    default=0.0,
    metavar="UM",
)
QUICK = flag(
    "--quick",
    "see each image once, not in the several views of eval.views of the model; as "
    "slides are in any case",
    action="store_true",
)
MPP_TRAINED = flag(
    "--mpp-trained",
    "um per px of the images that --workdir was trained on, where these did not say; "
    "is kept there",
    type=micrometres("mpp-trained"),
    default=0.0,
    metavar="UM",
)


def tell_quick(flags: argparse.Namespace, config: "EvalConfig") -> None:
    """Says on standard error that --quick changes nothing, where it does not."""
    from cellrec_jax import hosts  # late: JAX reads the environment when it is imported

    if flags.quick and not config.has_views and hosts.is_first():
        print(  # noqa: T201
            "--quick changes nothing: this model sees each image once in any case",
            file=sys.stderr,
        )


def mpp(flags: argparse.Namespace) -> float:
    """Um per px that `MPP` or `MPP_ALL` gives, 0 for none; ConfigError for both."""
    if flags.mpp and flags.mpp_all:
        raise errors.ConfigError("--mpp, or --mpp-all: give one of them")
    return float(flags.mpp or flags.mpp_all)


def place(flags: argparse.Namespace) -> epath.Path | None:
    """The work directory or model file that is asked for, if one is.

    ConfigError for both, a model that there is not, or its name as a work directory.
    """
    from cellrec_jax import models

    if not flags.model:
        name = str(flags.workdir or "")
        if name in models.shipped() and not flags.workdir.exists():
            raise errors.ConfigError(
                f"--workdir {name}: there is no such folder; the model that comes with "
                f"the package is --model {name}"
            )
        return flags.workdir
    if flags.workdir:
        raise errors.ConfigError("--workdir, or --model: give one of them")
    return models.named(flags.model)


def need_place(flags: argparse.Namespace, why: str = "") -> epath.Path:
    """As `place`; ConfigError, with `why` it is needed, where none is given."""
    found = place(flags)
    if found is None:
        raise errors.ConfigError(
            f"{flags.called} needs --workdir DIR or --model NAME{why}"
        )
    return found


def keep_pixel_size(flags: argparse.Namespace, workdir: epath.Path) -> None:
    """Keeps `--mpp-trained` in the work directory."""
    from cellrec_jax import hosts
    from cellrec_jax.workdir import model, pixel_size

    if not flags.mpp_trained:
        return
    trained = model.stored_meta(workdir)["mpp"]
    hosts.wait("the pixel size is read")  # before the first process changes it
    pixel_size.keep(workdir, flags.mpp_trained, trained)
    if hosts.is_first():
        print(  # noqa: T201
            f"{workdir / pixel_size.FILE} keeps {flags.mpp_trained:g} um per px "
            "of the training images; delete it to take that back"
        )
