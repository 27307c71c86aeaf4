"""Whether a prior tells the tumour: its maps beside the true tissue.

Of generated cytoplasm stains, whose nests are known and which no training sees. So one
can ask, of each step at which the first network stopped, whether its map is the rough
area that Zhang et al., ISBI 2022, section 2.3, hope for, or the cells by themselves.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from cellrec_jax import errors
from cellrec_jax.metrics import ranking, samples
from cellrec_jax.study import maps as maps_lib

COLUMNS = (
    *("run", "steps", "map", "AUC", "AUC_low", "AUC_high", "IoU", "threshold"),
    *("share", "inside", "outside", "own_circles", "between", "other_circles"),
)
"""Of `judge`."""


def judge(workdir: str, num_images: int = 0) -> list[dict[str, Any]]:
    """Rows, as `agreement`, of a run's maps on its (first) test images.

    Of the network that was trained first, of the prior decoder, and, to compare, of the
    annotated circles themselves, which is all that a perfect detector could show.
    ConfigError if the run has no prior, or its images no known tissue.
    """
    run = maps_lib.open_run(workdir)
    options = run.model.experiment.options
    ids = run.split.image_ids[: num_images or None]
    if "prior" not in options.decoders:
        raise errors.ConfigError(f"{workdir}: has no prior (loss.prior_weight=0)")
    tissue = [maps_lib.tissue(run, image_id) for image_id in ids]
    known = [one for one in tissue if one is not None]
    if len(known) < len(tissue):
        raise errors.ConfigError(
            f"{workdir}: the true tissue is known of generated cytoplasm stains alone, "
            "at their size (data.size_hw as data.synthetic_hw)"
        )
    seen = list(maps_lib.of(run, ids))
    circles = np.stack([one.targets["main"] for one in seen]) > 0
    own = circles[..., options.loss.prior_class]
    shown = {
        "first network": np.stack([one.targets["prior"][..., 0] for one in seen]),
        "prior decoder": np.stack([one.found["prior"][..., 0] for one in seen]),
        "annotated circles": own.astype(np.float32),
    }
    facts = {"run": workdir, "steps": options.prior.steps}
    return [
        {**facts, "map": name, **agreement(values, known, own, circles.any(-1) & ~own)}
        for name, values in shown.items()
    ]


def agreement(
    maps: np.ndarray,
    tissue: Sequence[np.ndarray],
    own: np.ndarray,
    others: np.ndarray,
) -> dict[str, float | None]:
    """How well maps f32 [I, H, W] tell the tissue, bool [I, H, W].

    `AUC` of an image's pixels, the mean over images with both kinds, with its bootstrap
    95 % interval; the best `IoU` of all pixels and its `threshold`; the tissue's
    `share`, which is the IoU of a map without holes; means of the maps `inside` and
    `outside` of the tissue, in `own_circles` and `other_circles` (of the prior's class
    and of other cells), and `between`: in the tissue, in no circle.
    """
    inside = np.stack(tissue)
    aucs = np.array(
        [
            ranking.auc(values.ravel(), true.ravel())
            for values, true in zip(maps, inside, strict=True)
            if true.any() and not true.all()
        ]
    )
    auc, low, high = _mean(aucs)
    iou, threshold = ranking.best_iou(maps.ravel(), inside.ravel())
    regions = {
        "inside": inside,
        "outside": ~inside,
        "own_circles": own,
        "between": inside & ~own & ~others,
        "other_circles": others,
    }
    found: dict[str, float | None] = {
        "AUC": auc,
        "AUC_low": low,
        "AUC_high": high,
        "IoU": iou,
    }
    found |= {"threshold": threshold, "share": float(inside.mean())}
    for name, region in regions.items():
        found[name] = float(maps[region].mean()) if region.any() else None
    return found


def _mean(values: np.ndarray) -> tuple[float | None, ...]:
    """Mean and bootstrap interval over images [I]; None of none."""
    if len(values) == 0:
        return None, None, None
    drawn = samples.draw(len(values), 1000, 0) @ values / len(values)
    return float(drawn[0]), *samples.interval(drawn[1:])
