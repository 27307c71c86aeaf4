"""From a trained detector to the labels of the next round.

Peaks on the training images are cut out, a classifier that knows positive and
unlabelled ones learns their features, and P-classification picks those that are surely
cells or surely background; or their scores do. Source: Fujii et al., MICCAI 2021 (see
`rounds`).
"""

from collections.abc import Callable, Mapping
import dataclasses
import functools
import time
from typing import Any, NamedTuple

from etils import epath
import jax
import jax.numpy as jnp
import numpy as np

from cellrec_jax import hosts
from cellrec_jax.config import CheckpointConfig
from cellrec_jax.data import arrays, augment, sets
from cellrec_jax.data.record import Record, Repairs, changed
from cellrec_jax.io.console import Console
from cellrec_jax.methods.refine_options import BACKGROUND, RefineOptions
from cellrec_jax.rounds import candidates as pseudo_candidates
from cellrec_jax.rounds import label_boxes, patch_classifier
from cellrec_jax.rounds import labels as round_labels
from cellrec_jax.rounds import patches as round_patches
from cellrec_jax.rounds import remaining as round_remaining
from cellrec_jax.rounds import selection as pseudo_selection
from cellrec_jax.rounds.candidates import POSITIVE, REMOVED, UNLABELED, Candidates
from cellrec_jax.rounds.labels import ImageLabels
from cellrec_jax.types import Batch, Decode, Detections, Method
from cellrec_jax.workdir import model as model_lib

_SLOTS = 64  # of labels, in multiples: few shapes, so few compilations


class Judged(NamedTuple):
    """Peaks of the training images, as the classifier sees them, if there is one."""

    candidates: Candidates
    """N peaks, px of the network's images."""
    kinds: np.ndarray
    """i8 [N], see `pseudo_candidates.divide`."""
    classifier: Any
    """Parameters; None where there was nothing to learn from."""
    scores: np.ndarray
    """f32 [N] of the classifier; NaN without one."""
    features: jax.Array
    """f32 [N, F]."""
    prior: float
    """Of the classifier's risk; 0 without one."""
    seconds: dict[str, float]
    """Of each stage."""
    notes: tuple[str, ...]
    """What did not go as planned; why there is no classifier, if one was asked for."""


class Relabeled(NamedTuple):
    """Labels of the next round and what led to them."""

    labels: dict[str, ImageLabels]
    """Image id -> labels, px of the images on disk."""
    ranking: pseudo_selection.Ranking
    selection: pseudo_selection.Selection
    seconds: dict[str, float]
    remaining: round_remaining.Remaining | None = None
    """What withheld labels tell of it, if there are any."""
    threshold: float | None = None
    """Of the detector's scores, if it told how many are taken."""


def with_labels(split: sets.Split, labels: Mapping[str, ImageLabels]) -> sets.Split:
    """The images with other labels, px on disk, all kept; pseudo-negatives too."""

    def relabel(record: Record) -> Record:
        own = labels[record.image_id]
        background = np.array(own.origins, np.str_) == round_labels.NEGATIVE
        return dataclasses.replace(
            record,
            points_yx=own.points_yx,
            labels=np.where(background, BACKGROUND, 0).astype(np.int32),
            boxes_yxyx=label_boxes.of(record, own, split.spec.box_size),
            masks=None,
            trust=None,
        )

    most = max(len(labels[image_id].origins) for image_id in split.image_ids)
    spec = dataclasses.replace(
        split.spec,
        max_cells=max(split.spec.max_cells, most),
        keep_rate=1.0,
        keep_one=False,
        withheld=0.0,
        flip_labels=0.0,
        jitter_px=0.0,
    )
    # Repairs are those of the images on disk, which `refine` tells of once.
    source = changed(split.source, relabel, repairs=Repairs())
    return sets.Split(source, split.image_ids, spec, slots=_SLOTS)


def find_candidates(
    model: model_lib.Model, eval_set: sets.EvalSet, threshold: float = 0.0
) -> Candidates:
    """A detector's peaks, px of the network's images; threshold 0: the model's.

    Of several processes each looks at its part of the images, and has all peaks then.
    """
    find = _jit_candidates(model.method)
    decode = model.once().decode
    if threshold:
        thresholds = jnp.full_like(decode.thresholds, threshold)
        decode = decode._replace(thresholds=thresholds)
    own = set(hosts.own(range(len(eval_set.image_ids))))
    parts = []
    for index, batch in enumerate(arrays.eval_batches(eval_set.images, 1)):
        if index not in own:
            continue
        found = find(model.params, model.model_state, batch, decode)
        kept = np.asarray(found.mask[0])
        parts.append(
            Candidates(
                np.full(kept.sum(), index, np.int32),
                np.asarray(found.points_yx[0])[kept],
                np.asarray(found.scores[0])[kept],
            )
        )
    return pseudo_candidates.gather(parts)


@functools.lru_cache(maxsize=1)  # compiled once for all rounds
def _jit_candidates(method: Method) -> Callable[..., Detections]:
    """Compiles a method's peaks of training images, from raw images on."""

    def find(params: Any, model_state: Any, batch: Batch, decode: Decode) -> Detections:
        assert method.traits.candidates is not None  # `refine` checks
        batch = augment.prepare_eval(batch)
        return method.traits.candidates(params, model_state, batch, decode)

    return jax.jit(find)


def to_network(
    labels: Mapping[str, ImageLabels], eval_set: sets.EvalSet
) -> list[ImageLabels]:
    """Labels of each image in px of the network's images."""
    return [
        labels[image_id]._replace(points_yx=labels[image_id].points_yx * scale[None])
        for image_id, scale in zip(eval_set.image_ids, eval_set.scale_yx, strict=True)
    ]


def judge(
    candidates: Candidates,
    labels: Mapping[str, ImageLabels],
    eval_set: sets.EvalSet,
    config: RefineOptions,
    seed: int,
    folder: epath.Path,
    checkpoints: CheckpointConfig,
    console: Console,
) -> Judged:
    """Trains the classifier on the peaks and extracts their features.

    Without positive or without unlabelled peaks there is none, and the notes say why;
    nor where they are ranked by score.
    Candidates are in px of the network's images, labels of those on disk; `folder` gets
    checkpoints. Interrupted as in `patch_classifier.train_in`.
    """
    staying = staying_labels(labels, config)
    kinds = pseudo_candidates.divide(
        candidates, to_network(staying, eval_set), config.match_px
    )
    if config.rank == "score":
        return _unjudged(candidates, kinds, ())
    if problem := pseudo_selection.why_not(kinds):
        note = f"the patch classifier had nothing to learn from: {problem}"
        return _unjudged(candidates, kinds, (note,))
    used = kinds != REMOVED
    begin = time.monotonic()
    patches = jax.block_until_ready(round_patches.cut(candidates, eval_set, config))
    patches_s = time.monotonic() - begin
    positive = jnp.asarray(kinds == POSITIVE)
    begin = time.monotonic()
    prior, notes = pseudo_candidates.prior_of(patches, kinds, config, seed)
    prior_s = time.monotonic() - begin
    console.line(
        f"training the patch classifier on {(kinds == POSITIVE).sum()} labelled and "
        f"{(kinds == UNLABELED).sum()} unlabelled peaks, prior {prior:.2f}"
    )
    learned = patches[used], positive[used], prior, config, seed
    trained, classifier_s = patch_classifier.train_in(
        folder, checkpoints, console, *learned
    )
    # Each process trains it; machines of another kind would round otherwise.
    trained = trained._replace(params=hosts.from_first(trained.params))
    begin = time.monotonic()
    scores, features = patch_classifier.extract(trained.params, patches, config)
    host_scores = np.asarray(scores)
    seconds = {
        "patches_s": patches_s,
        "prior_s": prior_s,
        "classifier_s": classifier_s,
        "extract_s": time.monotonic() - begin,
    }
    return Judged(
        candidates, kinds, trained.params, host_scores, features, prior, seconds, notes
    )


def relabel(
    judged: Judged,
    labels: Mapping[str, ImageLabels],
    eval_set: sets.EvalSet,
    config: RefineOptions,
    round_number: int,
    held: round_remaining.Held | None = None,
    threshold: float = 0.0,
) -> Relabeled:
    """Ranks the peaks and adds the surest to the labels, for round `round_number`.

    No more than withheld labels find (`remaining`), where `held` has some. `threshold`
    is the detector's own, for `config.take`.
    """
    begin = time.monotonic()
    found = judged.candidates
    ranking = _rank(judged, config)
    selection = _select(ranking, judged, config, threshold)
    remaining = None
    if held is not None:
        remaining = round_remaining.estimate(
            round_remaining.peaks_at(found, held.points_yx, config.match_px),
            judged.kinds,
            ranking.positive_scores,
            selection.positive_index,
            held,
            config.stop_below,
        )
        if config.stop_below:
            background = round_remaining.background_left(judged.kinds, remaining)
            selection = round_remaining.shortened(
                selection, remaining.added, background
            )
    on_disk = found._replace(points_yx=found.points_yx / eval_set.scale_yx[found.image])
    staying = staying_labels(labels, config)
    extended = pseudo_selection.add_labels(
        [staying[image_id] for image_id in eval_set.image_ids],
        on_disk,
        ranking,
        selection,
        round_number,
    )
    return Relabeled(
        dict(zip(eval_set.image_ids, extended, strict=True)),
        ranking,
        selection,
        {"rank_s": time.monotonic() - begin},
        remaining,
        threshold if config.take == "threshold" else None,
    )


def staying_labels(
    labels: Mapping[str, ImageLabels], config: RefineOptions
) -> dict[str, ImageLabels]:
    """The labels that a round adds to: given ones alone where it renews the others."""
    if not config.renews:
        return dict(labels)
    return {image_id: round_labels.only_given(one) for image_id, one in labels.items()}


def _rank(judged: Judged, config: RefineOptions) -> pseudo_selection.Ranking:
    if config.rank == "score":
        heights = judged.candidates.heights
        return pseudo_selection.rank_by_score(heights, judged.kinds)
    return pseudo_selection.rank(
        judged.features,
        judged.kinds,
        p=config.p,
        ridge=config.ridge,
        solver=config.solver,
        moved_share=config.moved_share,
    )


def _select(
    ranking: pseudo_selection.Ranking,
    judged: Judged,
    config: RefineOptions,
    threshold: float,
) -> pseudo_selection.Selection:
    found = judged.candidates
    if config.take == "threshold":
        return pseudo_selection.select_above(
            ranking,
            judged.kinds,
            found.heights,
            threshold,
            bottom_share=config.bottom_share,
        )
    return pseudo_selection.select(
        ranking,
        judged.kinds,
        found.image,
        top_share=config.top_share,
        bottom_share=config.bottom_share,
        pooled=config.pooled,
    )


def _unjudged(
    candidates: Candidates, kinds: np.ndarray, notes: tuple[str, ...]
) -> Judged:
    num = len(kinds)
    blank = np.full(num, np.nan, np.float32)
    features = jnp.zeros((num, 1))
    return Judged(candidates, kinds, None, blank, features, 0.0, {}, notes)
