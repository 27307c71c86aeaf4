"""Mean colours by hand."""

import numpy as np
import pytest

from cellrec_jax.data import looks


def flat(*rgb, size_hw=(4, 6)):
    return np.broadcast_to(np.array(rgb, np.uint8), (*size_hw, 3))


def test_sample_is_spread_over_all():
    ids = tuple(map(str, range(151)))
    assert looks.sample(ids) == tuple(map(str, range(0, 151, 10)))
    assert looks.sample(ids[:3]) == ids[:3]
    assert looks.sample(()) == ()


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        (flat(10, 20, 250), (10, 20, 250)),
        (flat(10, 20, 250, size_hw=(3, 3000)), (10, 20, 250)),
        (np.full((4, 6, 1), 9, np.uint8), (9, 9, 9)),
        # 16 bits are scaled by their percentiles: half of the pixels become 255.
        (np.repeat([[[7], [900]]], 3, axis=2).astype(np.uint16), (127.5,) * 3),
    ],
)
def test_mean_colour(image, expected):
    np.testing.assert_allclose(looks.mean_rgb(image), expected, rtol=1e-4)


def test_an_image_unlike_the_others():
    """Means 100 and 140: 20 between images, so 60 from 120 on is another colour."""
    found = looks.look_of([looks.mean_rgb(flat(v, v, 50)) for v in (100, 140)])
    assert found == looks.Look((120, 120, 50), (20, 20, 0))
    assert not looks.differs(found, np.array([179, 61, 61]))
    assert looks.differs(found, np.array([120, 120, 63]))
    assert looks.differs(found, np.array([181, 120, 50]))
    assert looks.look_of([]) is None
