"""Nuclei above and below the plane of focus, and parts of an image that are blurred.

Pale blurred nuclei are marked by some and not by others: those between plain and hardly
visible count neither as cells nor as background (`Record.ignore`).
"""

import numpy as np
from scipy import ndimage

from cellrec_jax.data.synthetic import layout as layout_lib

DOUBTFUL_BELOW = 0.45
"""Share of its density below which a nucleus is in doubt."""
GHOST = (0.015, 0.055)
"""Haematoxylin of what is background although it was a nucleus."""
DOUBTFUL = (0.055, 0.13)
"""The same of what is in doubt."""


def defocus(
    rng: np.random.Generator, cells: list[layout_lib.Nucleus]
) -> tuple[list[layout_lib.Nucleus], np.ndarray]:
    """Puts some nuclei out of focus: the nuclei, and which are in doubt, bool [N]."""
    share = rng.uniform(0, 0.35)
    out: list[layout_lib.Nucleus] = []
    doubt = np.zeros(len(cells), bool)
    for index, cell in enumerate(cells):
        kept = rng.uniform(0.25, 0.9)
        if rng.uniform() > share:
            out.append(cell)
            continue
        doubt[index] = kept < DOUBTFUL_BELOW
        out.append(
            cell._replace(
                haematoxylin=kept * cell.haematoxylin,
                dab=kept * cell.dab,
                grain=0.3 * cell.grain,
                rim=0.3 * cell.rim,
                edge_px=cell.edge_px + cell.radii[1] * (1.1 - kept),
            )
        )
    return out, doubt


def ghosts(
    rng: np.random.Generator, cells_yx: np.ndarray, room: np.ndarray, mpp: float
) -> tuple[list[layout_lib.Nucleus], list[layout_lib.Nucleus]]:
    """Blurred nuclei of other planes off `cells_yx`: background ones, doubtful ones.

    `room` [H, W] in [0, 1] says where there is tissue.
    """
    made: tuple[list[layout_lib.Nucleus], ...] = ([], [])
    area_mm2 = room.size * (mpp / 1000) ** 2
    for kind, densities in enumerate((GHOST, DOUBTFUL)):
        wanted = rng.poisson(area_mm2 * rng.uniform(0, (1800, 700)[kind]))
        places = layout_lib.throw(
            rng, room, wanted, 5.5 / mpp, taken_yx=cells_yx, tries_per_point=4
        )
        for y, x in places:
            radius = layout_lib.RADIUS_UM * rng.lognormal(0, 0.2) / mpp
            ratio = np.sqrt(rng.uniform(0.5, 1.0))
            brown = rng.uniform(0.0, 0.06) * (rng.uniform() < 0.15)
            made[kind].append(
                layout_lib.Nucleus(
                    (float(y), float(x)),
                    (radius / ratio, radius * ratio),
                    rng.uniform(0, np.pi),
                    rng.uniform(0.03, 0.1),
                    rng.uniform(*densities),
                    brown,
                    rng.uniform(0, 0.3),
                    0.0,
                    radius * rng.uniform(0.5, 1.2),
                )
            )
    return made[0], made[1]


def blur_part(rng: np.random.Generator, image: np.ndarray, mpp: float) -> np.ndarray:
    """Blurs a part of a third of the images; uint8 [H, W, 3] to the same."""
    sigma_px, where = rng.uniform(0.4, 1.2) / mpp, rng.uniform(20, 80) / mpp
    if rng.uniform() > 0.33:
        return image
    field = layout_lib.noise_field(rng, (image.shape[0], image.shape[1]), where)
    share = np.clip(0.5 + 1.5 * (field - rng.uniform(-0.3, 1)), 0, 1)[..., None]
    soft = ndimage.gaussian_filter(image.astype(np.float32), (sigma_px, sigma_px, 0))
    return np.round(image + share * (soft - image)).astype(np.uint8)
