"""Rounds of finding cells and training on them, in a folder of their own."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from etils import epath
import numpy as np

from cellrec_jax import errors, methods, run
from cellrec_jax.adapt import kept, labels, tiles
from cellrec_jax.config import Experiment
from cellrec_jax.data import looks
from cellrec_jax.data.annotations.content import Annotations
from cellrec_jax.data.classes import label_map
from cellrec_jax.data.pixels import images, pixel_size
from cellrec_jax.data.readers.point_tables import LABEL_MAP
from cellrec_jax.evaluate import fitting
from cellrec_jax.io import atomic
from cellrec_jax.io.console import Console
from cellrec_jax.predict import predictor, scales
from cellrec_jax.predict.predictor import Predictor
from cellrec_jax.workdir import model as model_lib
from cellrec_jax.workdir import operating_point

TILES, SET, RUN = "tiles", "labels_{}", "round_{}"
"""Folders in that of `adapt`."""


_UNSET = ("data.classes", "data.ignore_classes", "data.val_ids", "data.test_ids")
_WHOLE = {
    "data.num_folds": 0,
    **{"data.keep_rate": 1.0, "data.keep_one": False, "data.marked_share": 1.0},
    **{"data.threshold_share": 0.0, "data.flip_labels": 0.0, "data.jitter_px": 0.0},
}
"""Of keys that take labels away: there are none to spare."""


class Options(NamedTuple):
    """How pictures are learnt from."""

    rounds: int = 2
    steps: int = 200
    """Of each round."""
    rate: float = 0.3
    """Of the learning rate that the model was trained with."""
    most_tiles: int = 64
    """Tiles drawn at random where pictures give more; they are held in memory."""
    mpp: float = 0.0
    """Um per px of pictures whose files do not say it; 0 is not given."""
    mpp_for_all: bool = False
    """Whether it is of all, instead of what files say."""
    seed: int = 0


def adapt(
    model: Predictor,
    start: epath.Path,
    paths: Sequence[Path],
    output: epath.Path,
    console: Console,
    options: Options,
) -> int:
    """Adapts a model, restored from `start`, to pictures; exit code as of a run.

    The last round's folder in `output` is a work directory like any other. What is done
    already stays: the same call goes on. DataError for a picture that cannot be read,
    ConfigError for a method that does not weigh labels by trust, or an `output` that
    was begun with other pictures, another model, or other options than `rounds`.
    """
    if not model.model.method.traits.by_trust:
        raise errors.ConfigError(
            f"adapt: {model.model.experiment.method} cannot weigh labels by how sure "
            "the model is of them; take a model of point_matching or calibrated_rcnn"
        )
    kept.require_same(output, kept.made_with(model.model, paths, options))
    _write_tiles(model, paths, output, console, options)
    before: list[Annotations] | None = None
    for number in range(1, options.rounds + 1):
        found = _label(model, output, number)
        told = f"round {number}: {sum(len(one.names) for one in found)} cells as labels"
        if before is not None:
            radius_px = fitting.radius_px(model.model.experiment.eval, model.frame.mpp)
            share = labels.agreement(found, before, radius_px)
            told += f", which agree with those before to F1 {share:.3f}"
        console.line(told)
        before = found
        folder = output / RUN.format(number)
        code = run.train_and_evaluate(
            experiment(model, output / SET.format(number), options),
            folder,
            console,
            start,
        )
        if code:
            return code
        keep_once(model, folder)
        model, start = predictor.load(folder), folder
    console.line(
        f"adapted: cellrec predict IMAGES --workdir {start}; whether it is better "
        "annotated pictures alone tell: cellrec evaluate"
    )
    return 0


def keep_once(before: Predictor, folder: epath.Path) -> None:
    """Gives a round's model the threshold by which the one before sees images once."""
    once = before.model.meta["decode"].get("once")
    if once is None:
        return
    model = model_lib.restore(folder)
    decode, config = model.meta["decode"], model.experiment.eval
    cut = float(np.mean(once["thresholds"]))
    kept_once = {
        **decode,
        "thresholds": [cut] * len(model.class_names),
        "min_distance": once["min_distance"],
    }
    chosen = operating_point.Chosen(
        operating_point.rule(config), {**decode, "once": kept_once}
    )
    operating_point.save(folder, model.step, chosen)


def experiment(model: Predictor, root: epath.Path, options: Options) -> Experiment:
    """The model's training, of fewer and smaller steps on what it found itself."""
    trained, decode = model.model.experiment, model.model.meta["decode"]
    keys: dict[str, Any] = {
        **{"seed": options.seed, "total_steps": options.steps, "note": ""},
        **dict.fromkeys(_UNSET, ""),
        "data.root": str(root),
        "data.format": "auto",
        "data.train_ids": "*",
        "data.mpp": model.frame.mpp,
        "optim.learning_rate": options.rate * trained.optim.learning_rate,
        "eval.threshold": float(np.mean(decode["thresholds"])),
        "eval.min_distances": (float(decode["min_distance"]),),
        "eval.min_distances_um": (),
        **_WHOLE,
    }
    if hasattr(trained.options, "refine"):
        keys["refine.rounds"] = 0
    return methods.changed(trained, keys)


def _write_tiles(
    model: Predictor,
    paths: Sequence[Path],
    output: epath.Path,
    console: Console,
    options: Options,
) -> None:
    if (output / TILES).exists():
        return
    mpps = {
        path: pixel_size.chosen(
            images.mpp(path), options.mpp, for_all=options.mpp_for_all
        )
        for path in paths
    }
    unknown = [path for path, mpp in mpps.items() if not mpp]
    if unknown and model.frame.mpp:
        some = looks.sample(unknown, scales.NUM_IMAGES)
        scale = scales.find(model, [images.load(path).pixels for path in some])
        mpp = scale * model.frame.mpp
        console.line(scales.line(mpp))
        mpps |= dict.fromkeys(unknown, mpp)
    there = tiles.places(mpps, model.frame)
    chosen = tiles.draw(there, options.most_tiles, options.seed)
    drawn = f" drawn of {len(there)} (--tiles)" if len(chosen) < len(there) else ""
    console.line(f"{len(paths)} pictures: {len(chosen)} tiles{drawn}")
    tiles.write(chosen, mpps, output / TILES, model.frame)


def _label(model: Predictor, output: epath.Path, number: int) -> list[Annotations]:
    """What is found in all tiles; written as a set unless that is there."""
    files = sorted((output / TILES).glob("*.png"))
    scenes = (
        model.scene(images.load(file).pixels, model.frame.mpp, key=file.stem)
        for file in files
    )
    decode = model.model.meta["decode"]
    found = {
        scene.key: labels.of(cells, decode)
        for scene, cells in model.predict_many(scenes, all_scores=True)
    }
    if (output / SET.format(number)).exists():
        return list(found.values())
    with atomic.atomic_folder(output / SET.format(number)) as folder:
        for name in ("images", "annotations"):
            (folder / name).mkdir()
        for file in files:
            labels.write(folder / "annotations", file.stem, found[file.stem])
            (folder / "images" / file.name).write_bytes(file.read_bytes())
        (folder / LABEL_MAP).write_text(label_map(model.class_names))
    return list(found.values())
