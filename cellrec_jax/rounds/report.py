"""What a round of pseudo labels found: figures, numbers and lines for a person."""

from collections import Counter
from collections.abc import Mapping, Sequence
import functools
from typing import Any

import numpy as np

from cellrec_jax import hosts
from cellrec_jax.config import EvalConfig
from cellrec_jax.data import example, sets
from cellrec_jax.evaluate import estimated, fitting, predictions, saved
from cellrec_jax.metrics import counting, matching, ranking
from cellrec_jax.metrics import results as results_lib
from cellrec_jax.predict import predictor as predictor_lib
from cellrec_jax.rounds import figures as refine_figures
from cellrec_jax.rounds import labels as round_labels
from cellrec_jax.rounds import relabel
from cellrec_jax.rounds import remaining as round_remaining
from cellrec_jax.rounds.candidates import POSITIVE, UNLABELED, Candidates
from cellrec_jax.rounds.files import RoundFiles
from cellrec_jax.rounds.labels import ImageLabels
from cellrec_jax.rounds.relabel import Judged, Relabeled
from cellrec_jax.workdir import model as model_lib

_MEASURES = ("precision", "recall", "F1")
_NOT_KNOWN = (
    "all annotated cells are labels, so that unlabelled ones that are found count as "
    "wrong on the training images"
)


def label_line(number: int, rounds: int, labels: Mapping[str, ImageLabels]) -> str:
    """One line on the labels that a round trains on."""
    counts = Counter(origin for image in labels.values() for origin in image.origins)
    found = ", ".join(
        f"{counts[origin]} {origin.replace('_', '-')}"
        for origin in round_labels.ORIGINS
    )
    return f"round {number} of {rounds}: training on {found} labels"


def measure(
    model: model_lib.Model, split: sets.Split, config: EvalConfig
) -> dict[str, float | None]:
    """Precision, recall and F1 in [0, 1], pooled over images; None where undefined.

    Recall alone where annotations are a part of the cells.
    """
    predictor = predictor_lib.of(model)
    images = list(predictions.scenes(split, predictor.frame))
    found = predictions.predict_set(predictor.network, hosts.own(images))
    found = saved.gather(found)
    decode = model.meta["decode"]
    counts = counting.point_counts(
        results_lib.suppress(found, decode["min_distance"], [s.ratio for s in images]),
        np.asarray(decode["thresholds"]),
        fitting.radius_px(config, predictions.common_mpp(s.key for s in images)),
        protocol=config.protocol,
        strict=config.strict,
    )
    pooled = counting.ratios(counting.pool(counts, np.ones((1, len(found)), np.int64)))
    values = {name: float(pooled[name][0, 0]) for name in _MEASURES}
    if estimated.is_partial(found, split.labels):
        values |= {"precision": np.nan, "F1": np.nan}
    return {name: v if np.isfinite(v) else None for name, v in values.items()}


def purity(
    candidates: Candidates,
    index: np.ndarray,
    truth_yx: Sequence[np.ndarray],
    match_px: float,
    *,
    cells: bool,
) -> float | None:
    """Share of selected peaks (`index`; None of none) that are what they are taken for.

    In px of the network's images; `truth_yx` f32 [N, 2] of each. Taken for `cells`,
    those that no label marks yet: each counts for one peak within `match_px`, a second
    is wrong. Background has no cell within it.
    """
    if not len(index):
        return None
    if not cells:
        return float(np.mean(~_on_cells(candidates, truth_yx, match_px)[index]))
    right = 0
    for image in np.unique(candidates.image[index]):
        points_yx = candidates.points_yx[index[candidates.image[index] == image]]
        right += len(matching.match_points(points_yx, truth_yx[image], match_px))
    return right / len(index)


def separation(
    candidates: Candidates,
    unlabeled: np.ndarray,
    scores: Mapping[str, np.ndarray],
    truth_yx: Sequence[np.ndarray],
    match_px: float,
) -> dict[str, Any]:
    """How well scores tell unlabelled peaks on cells from those on background.

    `scores` are name -> f32 [N], high for cells; the rest as for `purity`. Returns
    `on_cells`, the share on cells, also second peaks (wrong for `purity`): the most to
    expect of lots; `auc`, name -> area under the ROC curve. None where undefined.
    """
    near = _on_cells(candidates, truth_yx, match_px)[unlabeled]
    both = near.any() and not near.all()
    return {
        "on_cells": float(near.mean()) if len(near) else None,
        "auc": {
            name: ranking.auc(values[unlabeled], near)
            if both and np.isfinite(values[unlabeled]).all()
            else None
            for name, values in scores.items()
        },
    }


def _on_cells(
    candidates: Candidates, truth_yx: Sequence[np.ndarray], match_px: float
) -> np.ndarray:
    """Whether each peak is within `match_px` of any cell of its image, bool [N]."""
    near = np.zeros(len(candidates.image), bool)
    for index, cells_yx in enumerate(truth_yx):
        here = candidates.image == index
        between = candidates.points_yx[here][:, None] - cells_yx[None]
        near[here] = (np.linalg.norm(between, axis=-1) <= match_px).any(axis=1)
    return near


def unlabeled_cells(
    truth_yx: Sequence[np.ndarray], labels: Sequence[ImageLabels], match_px: float
) -> list[np.ndarray]:
    """The cells f32 [N, 2] of each image that no label marks, one within `match_px`."""
    free = []
    for cells_yx, image in zip(truth_yx, labels, strict=True):
        marks = np.array(image.origins, np.str_) != round_labels.NEGATIVE
        pairs = matching.match_points(image.points_yx[marks], cells_yx, match_px)
        free.append(np.delete(cells_yx, pairs[:, 1], axis=0))
    return free


def summarize(
    number: int,
    labels: Mapping[str, ImageLabels],
    candidates: Candidates,
    judged: Judged | None,
    following: Relabeled | None,
    eval_set: sets.EvalSet,
    match_px: float,
    staying: Mapping[str, ImageLabels] | None = None,
) -> dict[str, Any]:
    """Numbers of a round, trained on `labels`, for its summary.json.

    If all annotations are given labels, nothing tells which selected peaks are right.
    Cells are selected beside those of `staying`, if not beside all `labels`.
    """
    counts = Counter(origin for image in labels.values() for origin in image.origins)
    summary: dict[str, Any] = {
        "round": number,
        "labels": {origin: counts[origin] for origin in round_labels.ORIGINS},
        "peaks": len(candidates.image),
    }
    if judged is not None:
        summary["prior"] = judged.prior
        summary["peaks_at_labels"] = int((judged.kinds == POSITIVE).sum())
        summary["peaks_unlabeled"] = int((judged.kinds == UNLABELED).sum())
    images = eval_set.images
    known = counts[round_labels.GIVEN] < int(np.sum(images.points_mask))
    truth_yx = [
        np.asarray(points_yx)[np.asarray(mask)]
        for points_yx, mask in zip(images.points_yx, images.points_mask, strict=True)
    ]
    if judged is not None and known:
        scores = {"classifier": judged.scores}
        if following is not None:
            scores["cells"] = following.ranking.positive_scores
            scores["background"] = following.ranking.negative_scores
        unlabeled = judged.kinds == UNLABELED
        summary["unlabeled"] = separation(
            candidates, unlabeled, scores, truth_yx, match_px
        )
    if following is not None:
        top, bottom, _ = following.selection
        summary["selected"] = {"positive": len(top), "negative": len(bottom)}
        if known:
            own = relabel.to_network(staying or labels, eval_set)
            free_yx = unlabeled_cells(truth_yx, own, match_px)
            share = functools.partial(purity, candidates, match_px=match_px)
            right = share(top, free_yx, cells=True)
            free = sum(map(len, free_yx))
            summary["selected"] |= {
                "positive_purity": right,
                "positive_recall": (right or 0.0) * len(top) / free if free else None,
                "negative_purity": share(bottom, truth_yx, cells=False),
            }
        if following.threshold is not None:
            summary["selected"]["threshold"] = following.threshold
        if following.remaining is not None:
            summary["remaining"] = round_remaining.to_json(following.remaining)
    summary["notes"] = [
        *(() if known else (_NOT_KNOWN,)),
        *(judged.notes if judged is not None else ()),
        *(following.ranking.notes if following is not None else ()),
        *(following.selection.notes if following is not None else ()),
    ]
    return summary


def lines(summary: Mapping[str, Any]) -> list[str]:
    """A round's summary for the console."""
    found = []
    for name in ("train", "test"):
        if measures := summary.get(name):
            values = ", ".join(
                f"{key} {'undefined' if value is None else format(value, '.3f')}"
                for key, value in measures.items()
            )
            found.append(f"round {summary['round']}, {name} images: {values}")
    if selected := summary.get("selected"):
        found.append(
            f"round {summary['round']}: selected {selected['positive']} as cells"
            f"{_above(selected.get('threshold'))}"
            f"{_right(*map(selected.get, ('positive_purity', 'positive_recall')))} "
            f"and {selected['negative']} as "
            f"background{_right(selected.get('negative_purity'))} of "
            f"{summary['peaks_unlabeled']} unlabelled peaks"
            f"{_told_apart(summary.get('unlabeled'))}"
        )
    if told := summary.get("remaining"):
        unlabeled = summary["peaks_unlabeled"]
        found.append(round_remaining.line(summary["round"], told, unlabeled))
    return found + [f"note: {note}" for note in summary.get("notes", ())]


def _told_apart(unlabeled: Mapping[str, Any] | None) -> str:
    if unlabeled is None or unlabeled["on_cells"] is None:
        return ""
    curve = unlabeled["auc"]["cells"]
    area = "" if curve is None else f", area under the curve {curve:.2f}"
    return f" ({100 * unlabeled['on_cells']:.0f} % on cells{area})"


def _above(threshold: float | None) -> str:
    return "" if threshold is None else f" at a threshold of {threshold:.3g}"


def _right(share: float | None, found: float | None = None) -> str:
    if share is None:
        return ""
    of_all = "" if found is None else f", {100 * found:.0f} % of those without a label"
    return f" ({100 * share:.0f} % right{of_all})"


def _drawn_scores(judged: Judged, following: Relabeled) -> dict[str, np.ndarray]:
    """Title -> scores f32 [N] of the peaks; those of the detector are both rankings."""
    cells, background, _ = following.ranking
    if cells is judged.candidates.heights:
        return {"score of the detector": cells}
    return {
        "patch classifier": judged.scores,
        "ranking of cells": cells,
        "ranking of background": background,
    }


def draw(
    files: RoundFiles,
    number: int,
    judged: Judged,
    following: Relabeled,
    eval_set: sets.EvalSet,
    split: sets.Split,
) -> None:
    """Draws selection and scores, on the image with most given labels."""
    folder = files.workdir / "figures"
    image_id = max(
        following.labels,
        key=lambda i: following.labels[i].origins.count(round_labels.GIVEN),
    )
    index = eval_set.image_ids.index(image_id)
    found = judged.candidates
    free = (found.image == index) & (judged.kinds == UNLABELED)
    chosen = np.concatenate(following.selection[:2])
    free[chosen[found.image[chosen] == index]] = False
    panels = [
        refine_figures.RoundPanel(
            f"{image_id}: labels of round {number + 1}",
            following.labels[image_id],
            found.points_yx[free] / eval_set.scale_yx[index][None],
        )
    ]
    image = example.to_uint8(split.source.load(image_id).image)
    refine_figures.selected_labels(folder / f"labels_{number}.png", image, panels)
    rest = judged.kinds == UNLABELED
    rest[chosen] = False
    kinds = {
        refine_figures.AT_LABELS: judged.kinds == POSITIVE,
        round_labels.POSITIVE: following.selection.positive_index,
        round_labels.NEGATIVE: following.selection.negative_index,
        refine_figures.UNSELECTED: rest,
    }
    scores = _drawn_scores(judged, following)
    refine_figures.score_histograms(
        folder / f"scores_{number}.png",
        {
            title: {kind: values[chosen] for kind, chosen in kinds.items()}
            for title, values in scores.items()
        },
    )
