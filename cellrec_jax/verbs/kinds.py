"""Which inputs of `cellrec predict` are slides, and which are images."""

from collections.abc import Sequence
from pathlib import Path

from cellrec_jax.verbs.verb import flag

_NUM_TRIED, _NUM_SHOWN = 20, 3  # images that may be slides

SLIDES = flag(
    "--slides",
    "auto, the default: slides are files of slide scanners (.svs, .ndpi, .mrxs ...), "
    "and of TIFFs those in tiles that have lower levels or more than 67 million px; "
    "all: every TIFF",
    choices=("auto", "all"),
    default="",
)


def split(
    paths: Sequence[Path], *, every_tiff: bool
) -> tuple[dict[str, list[Path]], list[str]]:
    """The "slides" and "images", and lines of what may be meant otherwise."""
    from cellrec_jax.data.pixels import files, slides

    tiffs = files.ENDINGS_OF["TIFF"]
    parts: dict[str, list[Path]] = {"slides": [], "images": []}
    for one in paths:
        is_forced = every_tiff and one.suffix.lower() in tiffs
        parts["slides" if is_forced or slides.is_slide(one) else "images"].append(one)
    some = [one for one in parts["images"] if one.suffix.lower() in tiffs]
    found = [one.name for one in some[:_NUM_TRIED] if slides.may_be_slide(one)]
    if not found:
        return parts, []
    shown = ", ".join(found[:_NUM_SHOWN]) + " ..." * (len(found) > _NUM_SHOWN)
    return parts, [
        f"predicted as images, without density map and --roi: {shown} (slides are in "
        "tiles, with lower levels or more than 67 million px); --slides all takes "
        "every TIFF as a slide"
    ]
