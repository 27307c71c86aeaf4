"""How far a network looks: from an anchor point to the last px that matters to it."""

from cellrec_jax.methods.point_matching.options import ModelOptions
from cellrec_jax.nn import backbones, vgg

Span = tuple[int, int]
"""First and last cell of a grid, or px of an image."""

_POOLING_NORMS = ("group",)


def radius(model: ModelOptions) -> int:
    """Px from a point to what finds it; 0 where the norm pools over all there is.

    From the outputs down: a 3x3 convolution sees one cell more on either side, a stride
    multiplies. One stride more is for points that lie beside their anchor's cell;
    nothing bounds how far, but of 2,262 cells that two trained networks of a stride of
    16 px found, none lay more than 16.5 px from its anchor, which is in the cell.
    """
    if model.norm_kind in _POOLING_NORMS:
        return 0
    stride = 2**model.level
    far = 0
    for cell in range(1024, 1024 + 2 ** max(5 - model.level, 0)):  # of every phase
        convolutions = 4 if model.head == "residual" else 3
        span = _wider((cell, cell), convolutions)
        if model.aggregation == "fpn":
            span = _wider(span, 1)
        for level in _levels(model):
            low, high = _to_px(_moved(span, model.level, level), level, model.encoder)
            far = max(far, cell * stride - low, high - (cell + 1) * stride + 1)
    return far + stride


def _levels(model: ModelOptions) -> list[int]:
    """The levels of the encoder that are read."""
    there = sorted(backbones.BACKBONES[model.encoder].channels)
    if model.aggregation == "last":
        return [model.level]
    lowest = model.level if model.aggregation == "fpn" else 0
    return [level for level in there if level >= lowest]


def _wider(span: Span, convolutions: int, stride: int = 1) -> Span:
    """What the first of some 3x3 convolutions sees; that one has the stride."""
    low, high = span[0] - convolutions + 1, span[1] + convolutions - 1
    return stride * low - 1, stride * high + 1


def _moved(span: Span, target: int, level: int) -> Span:
    """Cells of a level that are averaged or repeated to the target's."""
    low, high = span
    if level >= target:
        return low >> (level - target), high >> (level - target)
    factor = 2 ** (target - level)
    return low * factor, (high + 1) * factor - 1


def _to_px(span: Span, level: int, encoder: str) -> Span:
    """The px of the image that cells of an encoder's level see."""
    if encoder.startswith("vgg"):
        for index in range(level, -1, -1):
            span = _wider(span, vgg.BLOCKS[index][0])
            if index:
                span = 2 * span[0], 2 * span[1] + 1
        return span
    layout = backbones.BACKBONES[encoder].make.args[0]  # type: ignore[attr-defined]
    convolutions = 2 if layout.expansion == 1 else 1
    for stage in range(level, 1, -1):
        more = (layout.blocks[stage - 2] - 1) * convolutions + convolutions - 1
        low, high = span[0] - more, span[1] + more
        span = _wider((low, high), 1, 1 if stage == 2 else 2)
    span = _wider(span, 1, 2)  # the stem's pooling, or second convolution
    return (
        (2 * span[0] - 1, 2 * span[1] + 1)
        if layout.light_stem
        else (
            2 * span[0] - 3,
            2 * span[1] + 3,
        )
    )
