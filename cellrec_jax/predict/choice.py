"""Which of several models fits some pictures, and whether a picture is unlike it."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from cellrec_jax import errors
from cellrec_jax.data import appearance, looks
from cellrec_jax.data.appearance import Appearance
from cellrec_jax.data.pixels import images, slides
from cellrec_jax.predict.slide import tissue
from cellrec_jax.workdir import model as model_lib

NOTHING_LIKE = 30.0
"""From here on, in `appearance.unlike`, a picture is nothing that a model was made for.
Bright-field images of laboratories that no shipped model has seen have 2 at most, a
photograph has 11, fluorescence 210."""
_NUM_PICTURES = 8
_NUM_PLACES = 4  # of a slide
_SIDE_PX = 512  # of a slide, at each place
_THUMBNAIL_PX = 512


class Picture(NamedTuple):
    """An image, or a place of a slide."""

    pixels: np.ndarray
    """uint8 or uint16 [H, W, 3], as it is read."""
    mpp: float
    """Micrometres per px as the file says; 0 is unknown."""


class Known(NamedTuple):
    """What a model's card says of its training images."""

    appearance: Appearance
    intensity: str
    """See `example.scale_intensity`."""


def known(meta: Mapping[str, Any]) -> Known | None:
    """Of a model's metadata; None where its training images are not described."""
    told = meta.get(model_lib.APPEARANCE)
    if told is None:
        return None
    return Known(Appearance(**told), meta["config"]["data"]["intensity"])


def choose(metas: Mapping[str, Mapping[str, Any]], pictures: Sequence[Picture]) -> str:
    """Name of the model to whose training images the pictures are most alike.

    `metas`: name -> a model's metadata. By the median picture; the first of those whose
    training images are described where there are no pictures.
    """
    models = {name: one for name, meta in metas.items() if (one := known(meta))}

    def likely(name: str) -> float:
        one = models[name]
        return float(
            np.median(
                [
                    appearance.log_likelihood(
                        one.appearance,
                        appearance.features(picture.pixels, one.intensity),
                    )
                    for picture in pictures
                ]
            )
        )

    return max(models, key=likely) if pictures else next(iter(models))


def difference(
    model: Known | None, pixels: Sequence[np.ndarray], *, refuse: bool = False
) -> str:
    """That an image, or places of one, look unlike a model's training images; or "".

    Also where nothing is known of these, or there is no place. With `refuse` a
    DataError from `NOTHING_LIKE` on.
    """
    if model is None or not pixels:
        return ""
    tiles = np.concatenate(
        [appearance.features(one, model.intensity) for one in pixels]
    )
    if refuse and (far := appearance.unlike(model.appearance, tiles)) >= NOTHING_LIKE:
        raise errors.DataError(
            f"looks like nothing that the package's models know ({far:.0f}, where 1 is "
            "the limit); --model NAME looks for cells in it all the same"
        )
    return appearance.difference(model.appearance, tiles)


def pictures(paths: Sequence[Path]) -> list[Picture]:
    """A few of some images and slides, of slides places with tissue.

    Without those that cannot be read: prediction tells of them.
    """
    found: list[Picture] = []
    for path in looks.sample(paths, _NUM_PICTURES):
        try:
            found += _places(path) if slides.is_slide(path) else [_image(path)]
        except (errors.DataError, slides.BadRegion, OSError):
            continue
    return found


def _image(path: Path) -> Picture:
    pixels, header = images.load(path)
    return Picture(pixels, header.mpp)


def _places(path: Path) -> Iterator[Picture]:
    """Places of a slide with tissue in their middle, at full magnification."""
    mpp = slides.describe(path).mpp
    with slides.opened(path) as slide:
        mask = tissue.find(tissue.thumbnail(slide, _THUMBNAIL_PX), margin_px=0)
        size_hw = slide.levels[0].size_hw
        for place in looks.sample([*np.argwhere(mask.inside)], _NUM_PLACES):
            middle_yx = (place + 0.5) * mask.native_px
            last_yx = np.maximum(np.subtract(size_hw, _SIDE_PX), 0)
            corner_yx = np.clip(middle_yx - _SIDE_PX / 2, 0, last_yx).astype(int)
            side_hw = np.minimum(size_hw, _SIDE_PX).tolist()
            region = slides.read_region(slide, 0, corner_yx.tolist(), side_hw)
            yield Picture(region, mpp)
