"""Classifier of small patches, whose features rank peaks: the g of Fujii et al.

Fujii et al., MICCAI 2021, whose public code has "alexnet" (Krizhevsky et al. 2012, with
smaller kernels and poolings). "small" is ours, for CPUs.
"""

from flax import linen as nn
import jax
import jax.numpy as jnp

from cellrec_jax.errors import ConfigError
from cellrec_jax.nn import layers

KINDS = ("alexnet", "small")
MIN_SIDE_PX = 13
"""Of a patch."""
INPUT_SCALE = 1.0
"""What patches are multiplied by; the public code has 255, which ranks worse. AUC among
unlabelled phase-contrast patches: 0.95 to 0.96 by 1, 0.85 to 0.94 by 255."""

# The small network; sides in px.
_WIDTHS = (32, 64, 64)
_HEAD_WIDTH = 64
_STRIDED_FROM = 24  # larger patches are read at half the resolution
_POOLED_FROM = 6  # smaller maps stay as they are


class PatchNet(nn.Module):
    """Scores patches, and returns the features that the score is made of.

    - "alexnet": 2304 features of 27 x 27 px, 28,674,881 parameters, dropout.
    - "small": 64 features a px of the last map: 576 of 13 x 13 or 27 x 27 px.
    """

    kind: str = "alexnet"

    @nn.compact
    def __call__(
        self, patches: jax.Array, train: bool = False
    ) -> tuple[jax.Array, jax.Array]:
        """Patches [N, S, S, C] to scores [N] and features [N, F] >= 0, all float32.

        Patches are shares of their image's largest value, C 1 or 3. `train` needs the
        key "dropout". Other kinds, or S below `MIN_SIDE_PX`, are a `ConfigError`.
        """
        if self.kind not in KINDS:
            raise ConfigError(
                f"network {self.kind!r} is unknown; use one of {', '.join(KINDS)}"
            )
        if min(patches.shape[1:3]) < MIN_SIDE_PX:
            raise ConfigError(
                f"patches of {patches.shape[1]} x {patches.shape[2]} px are too small: "
                f"use sides of at least {MIN_SIDE_PX} px"
            )
        x = patches.astype(jnp.float32) * INPUT_SCALE
        convolve, classify = {
            "alexnet": (_convolve_alexnet, _classify_alexnet),
            "small": (_convolve_small, _classify_small),
        }[self.kind]
        maps = convolve(x)
        features = maps.reshape(len(maps), -1)
        return classify(features, train)[:, 0], features


def _convolve_alexnet(x: jax.Array) -> jax.Array:
    if x.shape[-1] == 1:
        x = jnp.repeat(x, 3, axis=-1)
    for i, (features, size, pooled) in enumerate(
        (
            (64, 3, True),
            (192, 5, True),
            (384, 3, False),
            (256, 3, False),
            (256, 3, True),
        )
    ):
        x = layers.conv(
            features,
            size,
            use_bias=True,
            kernel_init=layers.torch_uniform,
            name=f"conv{i + 1}",
        )(x)
        x = nn.relu(x)
        x = layers.max_pool(x) if pooled else x
    return x


def _classify_alexnet(x: jax.Array, train: bool) -> jax.Array:
    # U(-1, 1) / sqrt(fan-in), as PyTorch's linear layers start.
    init = nn.initializers.variance_scaling(1 / 3, "fan_in", "uniform")
    for i in (1, 2):
        x = nn.Dropout(0.5, deterministic=not train)(x)
        x = nn.relu(nn.Dense(4096, kernel_init=init, name=f"dense{i}")(x))
    return nn.Dense(1, kernel_init=init, name="output")(x)


def _convolve_small(x: jax.Array) -> jax.Array:
    stride = 2 if min(x.shape[1:3]) >= _STRIDED_FROM else 1
    for i, features in enumerate(_WIDTHS):
        size, stride_now = (5, stride) if i == 0 else (3, 1)
        x = layers.conv(
            features, size, stride=stride_now, use_bias=True, name=f"conv{i + 1}"
        )(x)
        x = nn.relu(x)
        if min(x.shape[1:3]) >= _POOLED_FROM:
            x = layers.max_pool(x)
    return x


def _classify_small(x: jax.Array, train: bool) -> jax.Array:
    del train
    x = nn.relu(nn.Dense(_HEAD_WIDTH, name="dense1")(x))
    return nn.Dense(1, name="output")(x)
