"""What `cellrec predict` chooses where no flag says it: a shipped model, a scale."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from etils import epath

from cellrec_jax import errors
from cellrec_jax.verbs import trained

if TYPE_CHECKING:
    from cellrec_jax.io.console import Console
    from cellrec_jax.predict.predictor import Predictor


def model(
    flags: argparse.Namespace, paths: Sequence[Path]
) -> tuple[epath.Path, list[str]]:
    """The model that is asked for, else the shipped one that fits best, and its name.

    ConfigError where none is asked for, and none shipped.
    """
    from cellrec_jax import models
    from cellrec_jax.predict import choice
    from cellrec_jax.workdir import model_file

    if asked := trained.place(flags):
        return asked, []
    there = models.shipped()
    if not there:
        raise errors.ConfigError(
            f"{flags.called} needs --workdir DIR or --model FILE: the package has no "
            "models"
        )
    cards = {name: model_file.read_card(place) for name, place in there.items()}
    name, why = next(iter(cards)), ""
    if len(cards) > 1:
        metas = {name: card["meta"] for name, card in cards.items()}
        name = choice.choose(metas, choice.pictures(paths))
        others = ", ".join(one for one in cards if one != name)
        why = f": its training images look most like these; --model takes {others}"
    return there[name], [f"took {name} ({cards[name]['what']}){why}"]


def folder(place: epath.Path) -> epath.Path:
    """Where results of a model go: into its work directory, else here."""
    from cellrec_jax.workdir import model_file

    return (epath.Path() if model_file.is_one(place) else place) / "predict"


def scale(
    flags: argparse.Namespace,
    model: "Predictor",
    paths: Sequence[Path],
    output: epath.Path,
    screen: "Console",
) -> float:
    """Px of the training images per px of images that say no pixel size.

    Of model files alone, and what was chosen for earlier results in `output` stays; 0
    where nothing is to be chosen.
    """
    from cellrec_jax import hosts
    from cellrec_jax.data import looks
    from cellrec_jax.predict import choice, provenance, scales

    is_known = choice.known(model.model.meta) is not None and model.frame.mpp
    if flags.mpp or flags.mpp_all or not is_known:
        return 0.0
    found = provenance.scale_of(output)
    if not found:
        unknown = [one.pixels for one in choice.pictures(paths) if not one.mpp]
        if not unknown:
            return 0.0
        some = looks.sample(unknown, scales.NUM_IMAGES)
        found = hosts.first_json(scales.find(model, some))
    screen.line(scales.line(found * model.frame.mpp))
    return found
