"""Against XLA's own gradients, and a sum by hand."""

from flax import linen as nn
import jax
from jax import lax
import jax.numpy as jnp
import numpy as np
import pytest

from cellrec_jax.ops import convolution

NUMBERS = ("NHWC", "HWIO", "NHWC")


@pytest.fixture(autouse=True)
def no_size_is_too_small(monkeypatch):
    monkeypatch.setattr(convolution, "_LEAST_FLOPS", 0)


def both(shape, kernel_shape, dtype=jnp.float32, **options):
    """(output, gradients) of ours and XLA's for a loss with some curvature."""
    rng = np.random.default_rng(0)
    x = jnp.asarray(rng.normal(size=shape), dtype)
    kernel = jnp.asarray(rng.normal(size=kernel_shape), dtype)
    found = []
    for convolve in (convolution.conv_general_dilated, lax.conv_general_dilated):

        def loss(x, kernel, convolve=convolve):
            out = convolve(x, kernel, dimension_numbers=NUMBERS, **options)
            return jnp.sum(jnp.sin(out.astype(jnp.float32))), out

        gradients, out = jax.jit(jax.grad(loss, (0, 1), has_aux=True))(x, kernel)
        found.append((out, *gradients))
    return found


@pytest.mark.parametrize(
    ("shape", "kernel_shape", "strides", "padding", "dilation"),
    [
        ((2, 9, 7, 3), (3, 3, 3, 4), (1, 1), "SAME", (1, 1)),
        ((2, 9, 7, 3), (3, 3, 3, 4), (1, 1), "VALID", (1, 1)),
        ((3, 9, 8, 3), (3, 3, 3, 4), (2, 2), "SAME", (1, 1)),
        ((3, 9, 8, 3), (7, 7, 3, 4), (2, 2), ((3, 3), (3, 3)), (1, 1)),
        ((2, 11, 6, 3), (3, 3, 3, 2), (1, 1), "SAME", (4, 4)),
        ((2, 11, 6, 3), (1, 1, 3, 40), (1, 1), "VALID", (1, 1)),
        ((2, 11, 6, 5), (1, 1, 5, 2), (2, 2), "VALID", (1, 1)),
        ((2, 8, 12, 2), (2, 5, 2, 3), (3, 1), ((0, 2), (1, 4)), (2, 1)),
        # More px than a block: several, the last with rows beyond the image.
        ((2, 37, 40, 2), (3, 3, 2, 3), (1, 1), "SAME", (1, 1)),
        ((1, 75, 80, 2), (3, 3, 2, 3), (2, 2), "SAME", (1, 1)),
        # Several images a block, the last with more than there are.
        ((40, 6, 5, 2), (3, 3, 2, 3), (1, 1), "SAME", (1, 1)),
        # Rows longer than a block, and stripes beyond the last tap.
        ((1, 3, 700, 1), (3, 3, 1, 2), (1, 1), "SAME", (1, 1)),
        ((1, 10, 10, 1), (2, 2, 1, 2), (4, 4), "VALID", (1, 1)),
        ((1, 5, 5, 1), (3, 3, 1, 2), (1, 1), ((-1, 0), (2, -1)), (1, 1)),
    ],
)
def test_gradients_are_xlas(shape, kernel_shape, strides, padding, dilation):
    ours, theirs = both(
        shape,
        kernel_shape,
        window_strides=strides,
        padding=padding,
        rhs_dilation=dilation,
    )
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-5, atol=2e-5)
    np.testing.assert_array_equal(ours[0], theirs[0])


def test_only_large_kernel_gradients_are_replaced(monkeypatch):
    """XLA has three, ours two on CPUs; else tests compare XLA with itself."""
    options = {
        "window_strides": (1, 1),
        "padding": "SAME",
        "dimension_numbers": NUMBERS,
    }

    def count(convolve, platform="cpu"):
        def loss(x, kernel):
            return jnp.sum(convolve(x, kernel, **options) ** 2)

        x, kernel = jnp.ones((1, 8, 8, 2)), jnp.ones((3, 3, 2, 2))
        traced = jax.jit(jax.grad(loss, (0, 1))).trace(x, kernel)
        text = traced.lower(lowering_platforms=(platform,)).as_text()
        return text.count("stablehlo.convolution(")

    assert count(lax.conv_general_dilated) == 3
    assert count(convolution.conv_general_dilated) == 2
    assert count(convolution.conv_general_dilated, "cuda") == 3
    flops = 2 * (3 * 3 * 2 * 2) * (8 * 8)
    monkeypatch.setattr(convolution, "_LEAST_FLOPS", flops)
    assert count(convolution.conv_general_dilated) == 2
    monkeypatch.setattr(convolution, "_LEAST_FLOPS", flops + 1)
    assert count(convolution.conv_general_dilated) == 3


def test_channels_first_as_in_jax():
    x, kernel = jnp.ones((1, 2, 5, 6)), jnp.ones((3, 2, 3, 3))
    out = convolution.conv_general_dilated(x, kernel, (1, 1), "VALID")
    np.testing.assert_array_equal(out, np.full((1, 3, 3, 4), 18))


def test_kernel_gradient_by_hand():
    """Four px of gradient 1, 2, 3, 4: a tap's is their sum with what it saw."""
    x = jnp.arange(9.0).reshape(1, 3, 3, 1)
    kernel = jnp.zeros((2, 2, 1, 1))
    weights = jnp.array([[1.0, 2], [3, 4]])[None, :, :, None]

    def loss(kernel):
        out = convolution.conv_general_dilated(
            x, kernel, (1, 1), "VALID", dimension_numbers=NUMBERS
        )
        return jnp.sum(weights * out)

    # Tap (0, 0) sees 0 1 3 4, (0, 1) 1 2 4 5, (1, 0) 3 4 6 7, (1, 1) 4 5 7 8.
    expected = [[0 + 2 + 9 + 16, 1 + 4 + 12 + 20], [3 + 8 + 18 + 28, 4 + 10 + 21 + 32]]
    np.testing.assert_array_equal(jax.grad(loss)(kernel)[:, :, 0, 0], expected)


def test_half_precision_sums_in_float32():
    """3,600 products of 1: bfloat16 sums would stop at 256."""
    x = jnp.ones((1, 60, 60, 1), jnp.bfloat16)
    kernel = jnp.zeros((1, 1, 1, 1), jnp.bfloat16)

    def loss(kernel):
        out = convolution.conv_general_dilated(
            x, kernel, (1, 1), "VALID", dimension_numbers=NUMBERS
        )
        return jnp.sum(out.astype(jnp.float32))

    gradient = jax.grad(loss)(kernel)
    assert gradient.dtype == jnp.bfloat16
    np.testing.assert_allclose(gradient.astype(jnp.float32), 3600, rtol=2**-8)


def test_double_precision_stays():
    with jax.enable_x64():
        ours, theirs = both(
            (1, 30, 30, 2),
            (3, 3, 2, 2),
            jnp.float64,
            window_strides=(1, 1),
            padding="SAME",
        )
        assert ours[2].dtype == jnp.float64
        np.testing.assert_allclose(ours[2], theirs[2], rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(
    ("shape", "kernel_shape", "options"),
    [
        ((1, 6, 6, 4), (3, 3, 2, 4), {"feature_group_count": 2}),
        (
            (1, 6, 6, 2),
            (3, 3, 2, 4),
            {"lhs_dilation": (2, 2), "padding": ((1, 1), (1, 1))},
        ),
    ],
)
def test_what_xla_does_itself(shape, kernel_shape, options):
    options = {"window_strides": (1, 1), "padding": "SAME", **options}
    ours, theirs = both(shape, kernel_shape, **options)
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(a, b)


def test_mapped_kernels_and_images():
    rng = np.random.default_rng(0)
    x = jnp.asarray(rng.normal(size=(3, 2, 6, 7, 2)), jnp.float32)
    kernel = jnp.asarray(rng.normal(size=(3, 3, 3, 2, 4)), jnp.float32)

    def gradient(x, kernel):
        def loss(kernel):
            out = convolution.conv_general_dilated(
                x, kernel, (1, 1), "SAME", dimension_numbers=NUMBERS
            )
            return jnp.sum(out**2)

        return jax.grad(loss)(kernel)

    mapped = jax.vmap(gradient)(x, kernel)
    for i in range(3):
        one = gradient(x[i], kernel[i])
        np.testing.assert_allclose(mapped[i], one, rtol=1e-5, atol=1e-4)


def test_second_derivative():
    """The output is linear: that of its square is twice the Gram matrix."""
    x = jnp.arange(12.0).reshape(1, 4, 3, 1)

    def loss(kernel):
        out = convolution.conv_general_dilated(
            x, kernel, (1, 1), "VALID", dimension_numbers=NUMBERS
        )
        return jnp.sum(out**2)

    kernel = jnp.ones((2, 1, 1, 1))
    found = jax.jacrev(jax.grad(loss))(kernel).reshape(2, 2)
    seen = np.stack([np.arange(9.0), np.arange(3.0, 12)])
    np.testing.assert_allclose(found, 2 * seen @ seen.T, rtol=1e-6)


def test_flax_takes_it():
    make = lambda **more: nn.Conv(5, (3, 3), strides=2, **more)  # noqa: E731
    x = jnp.asarray(np.random.default_rng(0).normal(size=(2, 9, 9, 3)), jnp.float32)
    plain = make()
    params = plain.init(jax.random.key(0), x)
    ours = make(conv_general_dilated=convolution.conv_general_dilated)
    np.testing.assert_array_equal(ours.apply(params, x), plain.apply(params, x))
    before, after = (
        jax.grad(lambda p, net=net: jnp.sum(net.apply(p, x) ** 2))(params)
        for net in (plain, ours)
    )
    for a, b in zip(jax.tree.leaves(before), jax.tree.leaves(after), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-4)
