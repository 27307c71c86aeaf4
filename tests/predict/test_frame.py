"""What is said of images that are not as those of the training."""

import dataclasses

import pytest

from cellrec_jax.predict import frame as frames
from cellrec_jax.predict.frame import RESIZED, TILED, WIDENED, Seen

FRAME = frames.Frame((96, 128), 0.25, (96, 128), "squeeze", 8.0, 1, "auto")
SAME = Seen(RESIZED, (96, 128), 0.255)


@pytest.mark.parametrize(
    ("size", "how"),
    [((100, 122), RESIZED), ((92, 134), RESIZED), ((102, 128), TILED),
     ((96, 121), WIDENED), ((90, 128), WIDENED)],
)  # fmt: skip
def test_sizes_near_the_training_images(size, how):
    """Both sides count, 5 % of 96 x 128 px."""
    assert FRAME.place(size).how == how


def test_known_pixel_sizes_count():
    """At 0.125 um an image of twice the sides has the training images' size."""
    assert FRAME.place((192, 256), mpp=0.125).how == RESIZED
    assert FRAME.place((96, 128), mpp=0.5).scaled_hw == (192, 256)
    assert FRAME.place((96, 128), mpp=0.5).how == TILED


@pytest.mark.parametrize(
    ("seen", "changes", "says"),
    [
        ([SAME], {}, ()),
        (
            [SAME, Seen(WIDENED, (40, 50), 0.25), Seen(TILED, (300, 400), 0.25)],
            {},
            ("2 of 3 images (such as 40 x 50 px)", "1 mirrored", "1 cut into tiles"),
        ),
        (
            [SAME, Seen(TILED, (192, 256), 0.125)],
            {},
            ("1 of 2 images", "of 0.125 um per px are resampled to", "images' 0.25"),
        ),
        (
            [Seen(RESIZED, (300, 400), 0.25)],
            {"squeeze": True},
            ("eval.resize=squeeze: 1 of 1 images (such as 300 x 400 px)",),
        ),
        ([SAME], {"mpp": 0.0}, ("--mpp-trained",)),
        ([SAME._replace(mpp=0.0)], {}, ("0.25 um per px is ignored", "--mpp")),
    ],
)
def test_lines(seen, changes, says):
    frame = dataclasses.replace(FRAME, **changes)
    found = "\n".join(frames.lines(seen, frame))
    assert bool(found) == bool(says)
    for text in says:
        assert text in found
