"""What was found as lines, for people."""

from collections import Counter
from collections.abc import Iterator, Sequence
import textwrap

from cellrec_jax.check.estimate import Estimate
from cellrec_jax.check.folder import Report
from cellrec_jax.check.rules import RULES, WEIGHTS, Finding

_EXAMPLES = 3
_WIDTH = 100
_MOST_CLASSES = 8


def lines(report: Report) -> list[str]:
    """The folder, its findings by weight and rule with examples, and their numbers."""
    found = [_head(report)]
    for weight in WEIGHTS:
        chosen = [one for one in report.findings if one.weight == weight]
        if chosen:
            found += ["", f"{weight}s:", *_of_rules(chosen)]
    numbers = Counter(one.weight for one in report.findings)
    total = ", ".join(_count(numbers[weight], weight) for weight in WEIGHTS)
    return [*found, "", total]


def of_estimate(told: Estimate, notes: Sequence[str] = ()) -> list[str]:
    """What a model says of missing annotations."""
    counted = (
        f"{told.num_detected - told.num_matched} of {told.num_detected} detections "
        f"match none of {told.num_annotated} annotated cells"
    )
    if told.by == "precision":
        value, low, high = (_percent(one) for one in told.precision)
        rests = (
            f"{value} % of its detections are cells ({low} to {high} %), on its own "
            "test images"
        )
    else:
        rests = (
            "its precision is not known, so the surest detections are taken for cells "
            "alone: at most about that share"
        )
    if told.share is None:
        found = (
            f"cannot tell which share of the cells has no annotation: {told.why_not}"
        )
        if told.low is not None:
            low, high = _percent(told.low), _percent(told.high)
            found += f" ({low} to {high} %)"
    else:
        share, low, high = map(_percent, (told.share, told.low, told.high))
        found = (
            f"about {share} % of the cells seem to have no annotation (95 %: {low} to "
            f"{high} %)"
        )
    text = ["by the model:", f"  {found}", f"  {counted}; {rests}"]
    return [*text, *(f"  {note}" for note in notes)]


def _head(report: Report) -> str:
    classes = [f"{name} {number}" for name, number in report.class_counts.items()]
    more = ", ..." if len(classes) > _MOST_CLASSES else ""
    named = ", ".join(classes[:_MOST_CLASSES]) + more
    cells = sum(report.class_counts.values())
    text = (
        f"{report.root}: {report.format}, {_count(len(report.images), 'image')}, "
        f"{_count(cells, 'cell')} ({named})"
    )
    parts = [f"{name} {len(ids)}" for name, ids in report.splits.items() if ids]
    if parts:
        text += f", splits {', '.join(parts)}"
    return text


def _of_rules(findings: Sequence[Finding]) -> Iterator[str]:
    for name, rule in RULES.items():
        chosen = [one for one in findings if one.rule == name]
        if not chosen:
            continue
        images = len({one.image for one in chosen if one.image})
        where = f" in {_count(images, 'image')}" if images else ""
        yield f"  {name} ({len(chosen)}{where}): {rule.what}"
        for one in chosen[:_EXAMPLES]:
            yield from _wrapped(_example(one))
        if len(chosen) > _EXAMPLES:
            yield f"    and {len(chosen) - _EXAMPLES} more"
        yield from _wrapped(f"-> {rule.todo}")


def _example(one: Finding) -> str:
    place = "" if one.x is None or one.y is None else f" (x {one.x:.0f}, y {one.y:.0f})"
    return f"{one.image}{place}: {one.text}" if one.image else one.text


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(
        text,
        _WIDTH,
        initial_indent=" " * 4,
        subsequent_indent=" " * 6,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _percent(share: float | None) -> str:
    return "?" if share is None else f"{100 * share:.0f}"
