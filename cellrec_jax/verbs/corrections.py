"""`cellrec corrections`: predictions that were corrected, as a set to train on."""

import argparse
from collections import Counter
from collections.abc import Mapping
import math
from typing import TYPE_CHECKING, Any

from etils.epath import Path

from cellrec_jax import errors
from cellrec_jax.verbs.verb import Verb, Words, above_0, flag, need, path

if TYPE_CHECKING:
    from cellrec_jax.convert.corrected import Predicted

_RADIUS_PX = 8.0
_TRUST = 0.5
_ENDINGS = (".geojson", ".geojson.gz")


def run(flags: argparse.Namespace, pairs: Mapping[str, str]) -> int:
    """Writes the set; one line of what was corrected in each image, and in all."""
    from cellrec_jax.convert import corrected, corrections
    from cellrec_jax.data import readers
    from cellrec_jax.io.console import Console
    from cellrec_jax.predict import provenance

    del pairs  # it reads none
    if len(flags.words) != 2:
        raise errors.ConfigError(
            f"{flags.called} needs FOUND, the folder of predictions, and CORRECTED, "
            f"what was exported; here are {len(flags.words)} words"
        )
    need(flags, "output", "--output FOLDER")
    found, screen = path(flags.words[0]), Console()
    about = provenance.told(found)
    outcome = corrected.write(
        _predicted(found, flags.images_from),
        path(flags.words[1]),
        flags.output,
        readers.open_source(flags.keep, "auto") if flags.keep else None,
        radius_px=flags.match_px or _RADIUS_PX,
        trust=_trust(flags.trust),
        images=flags.images or corrected.IMAGES[0],
        class_names=about.get("model", {}).get("classes", ()),
    )
    for name, counts in outcome.images.items():
        screen.line(f"{name}: {_told(counts)}")
    total = sum(outcome.images.values(), Counter())
    kinds = ", ".join(f"{name} {count}" for name, count in outcome.names.items())
    screen.line(
        f"{flags.output}: {len(outcome.images)} images, {_told(total)}; given: "
        f"{kinds or 'none'}"
    )
    for what, number in outcome.notes.items():
        screen.line(f"not read: {number} {what}")
    if not total[corrections.ADDED] + total[corrections.CHANGED]:
        screen.line("no cell was added, moved or relabelled")
    screen.line(
        f"train on it: cellrec --config.data.root={flags.output} "
        "--config.data.train_ids='*' --init-from RUN --workdir NEW"
        f"{_threshold(about)}, with the other keys of RUN but data.format, val_ids and "
        "test_ids"
    )
    return 0


def _threshold(about: Mapping[str, Any]) -> str:
    """The key of the threshold that predictions were made with; "" of several."""
    try:
        (value,) = set(about["settings"]["thresholds"].values())
    except (ValueError, KeyError, TypeError):
        return ""
    return f" --config.eval.threshold={value:.3g}"


def _told(counts: Counter[str]) -> str:
    return ", ".join(f"{number} {what}" for what, number in counts.items())


def _predicted(found: Path, images_from: Path | None) -> "dict[str, Predicted]":
    """Images of a folder of predictions, by name."""
    from cellrec_jax.convert.corrected import Predicted
    from cellrec_jax.data.pixels.files import list_files
    from cellrec_jax.predict import journal
    from cellrec_jax.predict.inputs import FIELDS_ENDING

    done = journal.read(found)
    files = {name: found / f"{name}{_ENDINGS[0]}" for name in done}
    images = {name: Path(one.path) for name, one in done.items()}
    if images_from:
        if not done:
            files = {
                _named(file.relative_to(found).as_posix()): file
                for file in list_files(found, _ENDINGS, recursive=True)
                if not file.name.endswith(FIELDS_ENDING)
            }
        images = {name: images_from / name for name in files}
    if not images:
        raise errors.DataError(
            f"{found}: no predictions of images; name the folder that cellrec predict "
            "wrote (of slides also --images-from, the folder of these)"
        )
    if lost := [str(image) for image in images.values() if not image.is_file()]:
        raise errors.DataError(
            f"{lost[0]}: this image was predicted and is not there any more: give "
            "--images-from, the folder of the images"
        )
    return {name: Predicted(image, files[name]) for name, image in images.items()}


def _named(place: str) -> str:
    """An image by the name of its predictions."""
    return place.removesuffix(".gz").removesuffix(_ENDINGS[0])


def _trust(text: str) -> float | None:
    if text == "score":
        return None
    try:
        trust = float(text or _TRUST)
    except ValueError:
        trust = math.nan
    if not 0 <= trust < 1:
        raise errors.ConfigError(f"--trust {text}: give 0 to below 1, or score")
    return trust


VERB = Verb(
    "corrections",
    "make a training set of predictions that were corrected in QuPath",
    (
        "cellrec corrections found corrected/ --output turn1 --keep FOLDER",
        "cellrec corrections found a.geojson --output turn1 --trust score",
    ),
    run,
    (
        flag("--output", "a new folder", often=True, type=path, metavar="DIR"),
        flag(
            "--keep",
            "the set that was trained on, or of earlier corrections: its given cells, "
            "and known background, stay",
            often=True,
            type=path,
            metavar="FOLDER",
        ),
        flag(
            "--trust",
            f"how much cells count that nobody touched: 0 to below 1 ({_TRUST}), or "
            "score, each by its own",
            often=True,
            default="",
            metavar="SHARE",
        ),
        flag(
            "--match-px",
            f"how far from a prediction a cell is still the same ({_RADIUS_PX:g})",
            type=above_0("match-px", "px", 1e4),
            default=0.0,
            metavar="PX",
        ),
        flag(
            "--images",
            "put them into DIR/images: link (default), copy or none",
            choices=("none", "copy", "link"),
            default="",
        ),
        flag(
            "--images-from",
            "where the images are, if not where they were predicted",
            type=path,
            metavar="FOLDER",
        ),
    ),
    Words("FOUND CORRECTED", "what `predict` wrote, and the GeoJSON files from QuPath"),
)
