"""Scores that a pathologist reads off the counts: the share of positive cells.

PD-L1's tumour proportion score is positive / all tumour cells (Shui et al., MICCAI
2022, introduction), the Ki-67 index positive / all cells. They need no matching: errors
of detection that cancel out do not change a score.
"""

from collections.abc import Sequence
import re
from typing import Any, NamedTuple

import numpy as np

from cellrec_jax.metrics import counting, samples


class ScoreDefinition(NamedTuple):
    """A share of cells, found in the class names."""

    name: str
    numerator: tuple[int, ...]
    """Class ids counted above the line; all of them are below it too."""
    denominator: tuple[int, ...]


class Scores(NamedTuple):
    """The share in each image, in [0, 1]; NaN where no cell is below the line."""

    predicted: np.ndarray
    annotated: np.ndarray


def score_definition(class_names: Sequence[str]) -> ScoreDefinition | None:
    """Finds the score that class names stand for; None where they define none.

    Case does not matter; a word after "non", "not" or "no" ("non-tumour") is not said;
    "pos" and "neg", standing alone ("tumor_pos", "TumorNeg"), are positive and
    negative. "TPS": tumor (tumour) and positive / these and tumor and negative; tumour
    classes of neither are left out. "positive_index": where no class is a tumour, one
    is positive and one negative, positive / both; further classes are left out.

    Example:
      >>> score_definition(["positive", "negative"])
      ScoreDefinition(name='positive_index', numerator=(0,), denominator=(0, 1))
    """
    tumour = classes_that_say("tumou?r", class_names)
    positive, negative = signs(class_names)
    if positive & tumour and negative & tumour:
        above, below = positive & tumour, (positive | negative) & tumour
        return ScoreDefinition("TPS", tuple(sorted(above)), tuple(sorted(below)))
    if not tumour and len(positive) == len(negative) == 1:
        both = tuple(sorted(positive | negative))
        return ScoreDefinition("positive_index", tuple(positive), both)
    return None


def signs(class_names: Sequence[str]) -> tuple[set[int], set[int]]:
    """Ids of the classes whose name says positive, and of those that say negative.

    Example:
      >>> signs(["NEG", "other", "tumor_pos"])
      ({2}, {0})
    """
    positive = classes_that_say(_word_or_short("positive", "pos"), class_names)
    negative = classes_that_say(_word_or_short("negative", "neg"), class_names)
    return positive - negative, negative - positive


def classes_that_say(word: str, class_names: Sequence[str]) -> set[int]:
    """Ids of the classes whose name holds a word (a pattern) that is not denied.

    Example:
      >>> classes_that_say("tumou?r", ["Tumour: Positive", "non-tumor", "stroma"])
      {0}
    """
    denied = re.compile(rf"(?<![a-z])no[nt]?[\s_-]*{word}")
    said = re.compile(word)
    found = set()
    for label, name in enumerate(class_names):
        # "NonTumor" as "Non Tumor": a capital begins a word.
        plain = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).lower()
        if said.search(denied.sub("", plain)):
            found.add(label)
    return found


def with_interval(
    definition: ScoreDefinition, counts: Sequence[int]
) -> dict[str, float | None]:
    """`NAME`, `NAME_low` and `NAME_high` of one image's K counts, in [0, 1].

    The interval is Wilson's at 95 %, of cells as independent draws; it knows nothing of
    cells that were missed. None where no cell is below the line.
    """
    above = sum(counts[label] for label in definition.numerator)
    below = sum(counts[label] for label in definition.denominator)
    low, high = samples.wilson(above, below)
    share = above / below if below else None
    name = definition.name
    return {name: share, f"{name}_low": low, f"{name}_high": high}


def image_scores(definition: ScoreDefinition, counts: counting.PointCounts) -> Scores:
    """Score of each image, or set of images, from counts [I, K]: each f64 [I]."""
    above, below = list(definition.numerator), list(definition.denominator)
    return Scores(
        *(
            samples.ratio(part[:, above].sum(axis=1), part[:, below].sum(axis=1))
            for part in (counts.num_predicted, counts.num_truth)
        )
    )


def entries(
    definition: ScoreDefinition, counts: counting.PointCounts, weights: np.ndarray
) -> dict[str, dict[str, Any]]:
    """The score of the whole set and its errors, with intervals, as `samples.entry`.

    From counts [I, K] and int64 weights [S, I]: `TPS_predicted` and `TPS_annotated`
    (pooled), `TPS_error` (absolute difference), `TPS_mae` (mean over the `num_images`
    images where both are defined); cells and predictions are those below the line.
    """
    pooled = image_scores(definition, counting.pool(counts, weights))
    scores = image_scores(definition, counts)
    errors = np.abs(scores.predicted - scores.annotated)
    defined = np.isfinite(errors)
    named = {
        "predicted": (pooled.predicted, len(errors)),
        "annotated": (pooled.annotated, len(errors)),
        "error": (np.abs(pooled.predicted - pooled.annotated), len(errors)),
        "mae": (
            samples.ratio(weights @ np.where(defined, errors, 0.0), weights @ defined),
            defined.sum(),
        ),
    }
    below = list(definition.denominator)
    return {
        f"{definition.name}_{name}": samples.entry(
            values,
            num_images=num_images,
            num_truth=counts.num_truth[:, below].sum(),
            num_predicted=counts.num_predicted[:, below].sum(),
        )
        for name, (values, num_images) in named.items()
    }


def image_columns(
    class_names: Sequence[str], counts: counting.PointCounts
) -> dict[str, np.ndarray]:
    """Each image's score and absolute error, from counts [I, K], for a table.

    `TPS_predicted`, `TPS_annotated`, `TPS_error` -> f64 [I], NaN undefined; or empty.
    """
    definition = score_definition(class_names)
    if definition is None:
        return {}
    predicted, annotated = image_scores(definition, counts)
    return {
        f"{definition.name}_predicted": predicted,
        f"{definition.name}_annotated": annotated,
        f"{definition.name}_error": np.abs(predicted - annotated),
    }


def _word_or_short(word: str, short: str) -> str:
    """Pattern of a word anywhere, or of its abbreviation between other than letters."""
    return f"(?:{word}|(?<![a-z]){short}(?![a-z]))"
