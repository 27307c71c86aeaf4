"""`cellrec adapt`: a trained model learns from pictures that nobody annotated."""

import argparse
from collections.abc import Mapping

from cellrec_jax import errors
from cellrec_jax.verbs import trained
from cellrec_jax.verbs.verb import Flag, Verb, Words, console, flag, need, path


def run(flags: argparse.Namespace, pairs: Mapping[str, str]) -> int:
    """Rounds of finding cells and training on them, or goes on."""
    from cellrec_jax import config_files
    from cellrec_jax.adapt import rounds
    from cellrec_jax.data.pixels import slides
    from cellrec_jax.predict import inputs, predictor

    need(flags, "words", "FILE, FOLDER or a quoted pattern of pictures")
    place = trained.need_place(flags)
    need(flags, "output", "--output DIR")
    mpp = trained.mpp(flags)
    found = inputs.look(*flags.words)
    pictures = [one for one in found.paths if not slides.is_slide(one)]
    if not pictures:
        raise errors.DataError(
            f"{found.paths[0]}: a slide; export regions of it as images and give these"
        )
    screen = console(config_files.stored(place, pairs))
    lines = list(found.notes)
    if left := len(found.paths) - len(pictures):
        lines.append(f"passed over, slides (export regions as images): {left}")
    for line in lines:
        screen.line(line)
    usual = rounds.Options()
    options = rounds.Options(
        rounds=flags.rounds or usual.rounds,
        steps=flags.steps or usual.steps,
        most_tiles=flags.tiles or usual.most_tiles,
        mpp=mpp,
        mpp_for_all=bool(flags.mpp_all),
    )
    model = predictor.load(place, threshold=flags.threshold)
    return rounds.adapt(model, place, pictures, flags.output, screen, options)


def _count(name: str, help: str, most: int, *, often: bool = True) -> Flag:
    """A flag: a whole number from 1 on, 0 where it is not given."""

    def number(text: str) -> int:
        if not text.isdecimal() or not 1 <= int(text) <= most:
            raise errors.ConfigError(f"{name} {text}: give 1 to {most}")
        return int(text)

    return flag(name, help, often=often, type=number, default=0, metavar="N")


VERB = Verb(
    "adapt",
    "let a trained model learn from pictures that nobody annotated",
    (
        "cellrec adapt FOLDER --model ki67 --output adapted",
        "cellrec adapt 'images/*.png' --workdir runs/demo --output adapted --rounds 1",
    ),
    run,
    (
        trained.WORKDIR,
        trained.MODEL,
        flag(
            "--output",
            "a folder; round_N in it are work directories, the last is the result",
            often=True,
            type=path,
            metavar="DIR",
        ),
        _count("--rounds", "of finding cells and training on them (2)", 20),
        _count("--steps", "of training in a round (200)", 100_000),
        _count(
            "--tiles",
            "at most, each of the size of the training images; drawn at random where "
            "pictures give more (64)",
            10_000,
            often=False,
        ),
        trained.THRESHOLD,
        trained.MPP,
        trained.MPP_ALL,
    ),
    Words("FILE|FOLDER|GLOB", "pictures, folders, or quoted patterns"),
    keys=(),
    has_devices=True,
)
