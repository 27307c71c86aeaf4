"""Where the tissues and the cells of a synthetic cytoplasm stain lie.

Tumour cells fill nests, other epithelium its own ones apart from them; macrophages,
lymphocytes and stromal cells lie between and but rarely within.
"""

from typing import NamedTuple

import numpy as np
from scipy import ndimage

from cellrec_jax.data.synthetic import layout as layout_lib

CLASS_NAMES = (
    "tumor_strong",
    "tumor_weak",
    "lookalike",
    "epithelium",
    "macrophage",
    "lymphocyte",
    "stroma",
)
ID = {name: label for label, name in enumerate(CLASS_NAMES)}
CLASSES = (
    "positive=tumor_strong+tumor_weak,"
    "other=lookalike+epithelium+macrophage+lymphocyte+stroma"
)
"""The paper's two classes, for `data.classes`."""
UNSTAINED_SHARE = 0.07
"""Of the cells in tumour nests; they count as epithelium."""
_CROWDING = {
    "tumor": (7400.0, 8.2),
    "epithelium": (6800.0, 8.0),
    "macrophage": (350.0, 9.0),
    "lymphocyte": (6600.0, 6.0),
    "stroma": (2000.0, 5.6),
}
"""Cells per mm2 where they belong, and how far apart they are at least, um."""


class Regions(NamedTuple):
    """Which tissue is where; bool [H, W]. Stroma is what is left."""

    tumor: np.ndarray
    epithelium: np.ndarray
    lookalike: np.ndarray  # the part of the epithelium that is weakly brown


def draw_regions(
    rng: np.random.Generator, size_hw: tuple[int, int], mpp: float
) -> Regions:
    """Draws where tumour, other epithelium and its weakly brown patches lie."""
    share = rng.uniform(0.08, 0.45)  # of the image that is tumour
    field = layout_lib.noise_field(rng, size_hw, rng.uniform(12, 24) / mpp)
    tumor = field >= np.quantile(field, 1 - share)
    away = field < np.quantile(field, 1 - share - 0.06)
    glands = layout_lib.noise_field(rng, size_hw, rng.uniform(12, 22) / mpp)
    epithelium = away & (glands > np.quantile(glands, 1 - rng.uniform(0.15, 0.65)))
    patches = layout_lib.noise_field(rng, size_hw, 25 / mpp)
    lookalike = epithelium & (patches > rng.uniform(-0.8, 1.2))
    return Regions(tumor, epithelium, lookalike)


def place(
    rng: np.random.Generator, regions: Regions, mpp: float
) -> tuple[np.ndarray, np.ndarray]:
    """Centres of all cells, f32 [N, 2] px, at least one, and their classes, i32 [N]."""
    tumor, epithelium, lookalike = regions
    size_hw = (tumor.shape[0], tumor.shape[1])
    nest_yx = _fill(rng, tumor, "tumor", None, mpp)
    if not len(nest_yx):
        depth = ndimage.distance_transform_edt(np.pad(tumor, 1))[1:-1, 1:-1]
        deepest = np.unravel_index(depth.argmax(), size_hw)
        nest_yx = np.array([deepest], np.float32) + 0.5
    gland_yx = _fill(rng, epithelium, "epithelium", nest_yx, mpp)
    stroma = np.where(tumor | epithelium, 0.04, 1.0)
    crowds = 0.3 + 0.7 * layout_lib.noise_field(rng, size_hw, 18 / mpp)
    chances = (
        ("macrophage", stroma),
        ("lymphocyte", stroma * np.clip(crowds, 0.03, 1)),
        ("stroma", np.where(stroma == 1, 1.0, 0.0)),
    )
    placed = [nest_yx, gland_yx]
    for name, chance in chances:
        placed.append(_fill(rng, chance, name, np.concatenate(placed), mpp))
    weak = layout_lib.patchy(rng, nest_yx, size_hw, 20 / mpp, rng.uniform(0.15, 0.65))
    nest = np.where(weak, ID["tumor_weak"], ID["tumor_strong"])
    nest[rng.uniform(size=len(nest)) < UNSTAINED_SHARE] = ID["epithelium"]
    brown = lookalike[tuple(gland_yx.astype(int).T)]
    brown &= rng.uniform(size=len(brown)) < 0.85
    gland = np.where(brown, ID["lookalike"], ID["epithelium"])
    rest = [
        np.full(len(centers_yx), ID[name])
        for (name, _), centers_yx in zip(chances, placed[2:], strict=True)
    ]
    labels = np.concatenate([nest, gland, *rest]).astype(np.int32)
    return np.concatenate(placed), labels


def _fill(
    rng: np.random.Generator,
    chance: np.ndarray,
    name: str,
    taken_yx: np.ndarray | None,
    mpp: float,
) -> np.ndarray:
    """Places cells of one kind where they belong, off the others; f32 [., 2] px."""
    per_mm2, apart_um = _CROWDING[name]
    share = float(chance.mean())
    area_mm2 = chance.size * (mpp / 1000) ** 2
    return layout_lib.throw(
        rng,
        chance,
        rng.poisson(area_mm2 * share * per_mm2),
        apart_um / mpp,
        taken_yx=taken_yx,
        tries_per_point=round(30 / max(share, 0.03)),
    )
