"""What nuclei look like: long or round, smooth, vesicular or clumped, weak or dark.

Each image has its own mixture, so that no look is a sign of a class.
"""

from typing import NamedTuple

import numpy as np

from cellrec_jax.data.synthetic import layout as layout_lib

MAX_NUCLEOLI = 2


class Style(NamedTuple):
    """What nuclei of one image have in common; shares are of all that may have it."""

    size: float  # factor of all radii
    elongation: float  # mean short by long axis
    aligned: float  # 0 any direction, 1 all along the image's flow
    vesicular: float  # share of negative nuclei that are pale inside
    grain: float  # mean contrast of chromatin
    clumped: float  # share of positive nuclei with coarse DAB
    weak: float  # share of positive nuclei that are weakly brown
    nucleoli: float  # share of nuclei with nucleoli
    edge: float  # mean width of the outline, as a share of the radius
    ragged: float  # mean roughness of the outline


def draw_style(rng: np.random.Generator) -> Style:
    """Draws the style of one image."""
    low = (0.9, 0.5, 0.0, 0.0, 0.05, 0.0, 0.0, 0.0, 0.08, 0.02)
    high = (1.15, 0.95, 1.0, 0.9, 0.5, 1.0, 0.5, 0.6, 0.3, 0.07)
    return Style(*map(float, rng.uniform(low, high)))


def restyle(
    rng: np.random.Generator,
    cells: list[layout_lib.Nucleus],
    labels: np.ndarray,
    style: Style,
    flow: np.ndarray,
) -> list[layout_lib.Nucleus]:
    """The same nuclei at the same places with other looks; 0 is positive in `labels`.

    `flow` [H, W] is the direction that elongated ones take, in radians.
    """
    make = _positive, _negative
    return [
        make[int(label)](rng, _shaped(rng, cell, style, flow), style)
        for cell, label in zip(cells, labels, strict=True)
    ]


def _shaped(
    rng: np.random.Generator,
    cell: layout_lib.Nucleus,
    style: Style,
    flow: np.ndarray,
) -> layout_lib.Nucleus:
    """With another outline and no texture yet."""
    radius = style.size * float(np.sqrt(np.prod(cell.radii)))
    ratio = np.sqrt(np.clip(style.elongation + rng.normal(0, 0.12), 0.35, 1.0))
    along = float(flow[tuple(np.array(cell.center_yx).astype(int))])
    turn = rng.normal(0, 0.3 + 3 * (1 - style.aligned))
    return cell._replace(
        radii=(radius / ratio, radius * ratio),
        angle=along + turn,
        roughness=style.ragged * rng.uniform(0.4, 1.6),
        edge_px=max(0.8, radius * style.edge * rng.uniform(0.5, 1.5)),
        grain=style.grain * rng.uniform(0.4, 1.6),
        rim=rng.uniform(0, 0.3),
        hollow=0.0,
    )


def _negative(
    rng: np.random.Generator, cell: layout_lib.Nucleus, style: Style
) -> layout_lib.Nucleus:
    """Blue: even, or pale inside with a rim."""
    if rng.uniform() > style.vesicular:
        return cell
    return cell._replace(rim=rng.uniform(0.2, 0.7), hollow=rng.uniform(0.15, 0.6))


def _positive(
    rng: np.random.Generator, cell: layout_lib.Nucleus, style: Style
) -> layout_lib.Nucleus:
    """Brown: weak and greyish, or dark; even, clumped or with a pale middle."""
    weak = rng.uniform() < style.weak
    dab = rng.uniform(*((0.12, 0.45) if weak else (0.5, 2.6)))
    cell = cell._replace(dab=dab, haematoxylin=rng.uniform(0.02, 0.25 if weak else 0.5))
    if rng.uniform() < style.clumped:
        cell = cell._replace(
            grain=rng.uniform(0.4, 1.0), roughness=cell.roughness + rng.uniform(0, 0.08)
        )
    if rng.uniform() < 0.15:
        cell = cell._replace(hollow=rng.uniform(0.2, 0.7))
    return cell


def nucleoli(
    rng: np.random.Generator, cells: list[layout_lib.Nucleus], style: Style
) -> list[layout_lib.Nucleus]:
    """Small dark grains inside some nuclei."""
    made = []
    for cell in cells:
        if rng.uniform() > style.nucleoli:
            continue
        for _ in range(rng.integers(1, MAX_NUCLEOLI + 1)):
            radius = rng.uniform(0.14, 0.26) * cell.radii[1]
            y, x = np.add(cell.center_yx, rng.normal(0, 0.28, 2) * cell.radii[1])
            made.append(
                cell._replace(
                    center_yx=(float(y), float(x)),
                    radii=(radius, radius),
                    haematoxylin=rng.uniform(0.4, 1.2) * cell.haematoxylin,
                    dab=rng.uniform(0, 0.6) * cell.dab,
                    grain=0.0,
                    rim=0.0,
                    hollow=0.0,
                    edge_px=max(cell.edge_px, radius),
                )
            )
    return made
