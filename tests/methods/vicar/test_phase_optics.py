import numpy as np
import pytest
from scipy import special

from cellrec_jax.methods.vicar import phase_optics


def slow_kernel(outer, width, radius):
    def airy(ring):
        values = []
        for y in range(-radius, radius + 1):
            for x in range(-radius, radius + 1):
                z = 2 * ring * (y * y + x * x) ** 0.5 * np.pi
                values.append(np.pi * ring**2 * (2 * special.jv(1, z) / z if z else 1))
        return np.array(values).reshape(2 * radius + 1, -1)

    first, second = airy(outer), airy(outer - width)
    first, second = first / abs(first).sum(), second / abs(second).sum()
    ring = (first - second) / abs(first - second).sum()
    ring[radius, radius] -= 1
    ring[abs(ring) <= 0.01] = 0
    return ring


@pytest.mark.parametrize(("outer", "width", "radius"), [(4000, 800, 2), (0.4, 0.1, 3)])
def test_kernel_is_the_formula(outer, width, radius):
    options = phase_optics.PhaseOptions(outer, width, radius)
    kernel = phase_optics.kernel(options)
    expected = slow_kernel(outer, width, radius)
    np.testing.assert_allclose(kernel, expected, atol=1e-9)
    np.testing.assert_array_equal(kernel, kernel[::-1])
    np.testing.assert_array_equal(kernel, kernel.T)


def test_default_kernel_sees_the_image():
    kernel = phase_optics.kernel()
    assert kernel[2, 2] == pytest.approx(-0.697, abs=1e-3)
    assert kernel[1, 1] == pytest.approx(-0.103, abs=1e-3)


def test_impossible_options_are_refused():
    with pytest.raises(ValueError, match="ring_width"):
        phase_optics.kernel(phase_optics.DEFAULTS._replace(ring_width=4000.0))
