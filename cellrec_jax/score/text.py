"""What is said of scores, a line each."""

from collections.abc import Iterator, Sequence

from cellrec_jax.data.pixels.files import natural_key
from cellrec_jax.score import measure
from cellrec_jax.score.definitions import Score
from cellrec_jax.score.estimate import Measured
from cellrec_jax.score.measure import Row
from cellrec_jax.score.sheets import Results

USE = "research use only"


def title(row: Row) -> str:
    """A score's name and field, in words."""
    name = row.score.name.replace("_", " ").replace("per mm2/", "per mm2, ")
    if row.field is None:
        return name
    area = f"{row.field.side_mm**2:.3g} mm2"
    what = "hot spot of" if row.where == measure.HOT_SPOT else "most in"
    return f"{name}, {what} {area}"


def lines(
    results: Results,
    scores: Sequence[Score],
    rows: Sequence[Row],
    hot_spot_mm2: float = 1.0,
) -> list[str]:
    """What is printed: of several images those of all together, and their hot spots."""
    several = len(results.sheets) > 1
    shown = [row for row in rows if not several or not row.image]
    found: list[str] = []
    for row in shown:
        found += _of_row(row)
    if several:
        found += _best_fields(rows)
    if any(score.is_share for score in scores) and not any(
        row.where == measure.HOT_SPOT for row in rows
    ):
        found.append(
            f"no hot spot: of no image a field of {hot_spot_mm2:g} mm2 with "
            f"{measure.LEAST_CELLS} cells was looked at"
        )
    if any(row.field for row in rows):
        found.append(
            "fields were chosen as the highest of many, which are high by chance, too: "
            "their intervals do not know that"
        )
    found.append(_looked_at(results, shown[0]))
    found += _left_out(results)
    warned = dict.fromkeys(text for row in shown for text in row.warnings)
    found += [f"warning: {text}" for text in warned]
    found += [
        f"as the classes' names have it, {score.name.replace('_', ' ')} = {score.reads}"
        for score in scores
        if not score.name.startswith("per_mm2/")
    ]
    if not any(row.corrected for row in rows):
        found.append(
            "intervals are of other tissue of this kind, not of what the model gets "
            "wrong: --calibrate FOLDER measures that"
        )
    return [*found, f"{USE}: not for diagnosis"]


def _looked_at(results: Results, row: Row) -> str:
    """Images, area, pixel size and who says it, tiles left out."""
    area = "area unknown, so nothing per mm2"
    if row.area_mm2 is not None:
        area = f"{row.area_mm2:.4g} mm2 analysed"
    mpp = "pixel size unknown (--mpp UM tells it)"
    if row.mpp:
        mpp = f"{row.mpp:.4g} um per px"
    elif row.mpp_source:
        mpp = "several pixel sizes"
    source = f" ({row.mpp_source})" if row.mpp_source else ""
    number = len(results.sheets)
    what = results.what if number > 1 else results.what.removesuffix("s")
    return (
        f"{number} {what}, {area}, {mpp}{source}, {row.tiles_left_out} tiles left out"
    )


def _of_row(row: Row) -> Iterator[str]:
    """A score, and below it the corrected one."""
    if row.plain.value is None and not row.score.is_density:
        yield f"{title(row)}: undefined, no such cells"
        return
    between = "" if row.plain.low is None else f", 95 % interval of {row.units}"
    yield f"{title(row)}: {_said(row.score, row.plain)}{between}"
    if row.corrected is not None:
        is_known = row.corrected.value is not None or row.score.is_density
        said = _said(row.score, row.corrected) if is_known else "undefined"
        yield f"  corrected: {said}"


def _said(score: Score, one: Measured) -> str:
    """Value, interval, numerator and denominator."""
    if one.value is None:
        return f"{one.numerator:.0f} cells"
    factor, sign = (100, " %") if score.is_share else (1, "")
    digits = ".4g" if score.is_density else ".1f"
    value, *ends = (
        None if number is None else f"{number * factor:{digits}}"
        for number in (one.value, one.low, one.high)
    )
    between = " [no interval]" if None in ends else f" [{ends[0]}, {ends[1]}]"
    parts = f"{one.numerator:.0f} of {one.denominator:.0f} cells"
    if score.is_density:
        parts = f"{one.numerator:.0f} cells in {one.denominator:.4g} mm2"
    elif not set(score.above) <= {0.0, 1.0}:
        parts = f"grades sum up to {one.numerator:.0f}, {one.denominator:.0f} cells"
    elif score.scale > 1:
        parts = f"{one.numerator:.0f} over {one.denominator:.0f} cells"
    return f"{value}{sign}{between}, {parts}"


def _best_fields(rows: Sequence[Row]) -> Iterator[str]:
    """Of each score the field of all images that has the most."""
    fields = [row for row in rows if row.field and row.plain.value is not None]
    for name in dict.fromkeys(row.score.name for row in fields):
        best = max(
            (row for row in fields if row.score.name == name),
            key=lambda row: row.plain.value or 0.0,
        )
        (first, *_) = _of_row(best)
        yield f"{first}, in {best.image}"


def _left_out(results: Results) -> Iterator[str]:
    if results.left_out:
        names = sorted(results.left_out, key=natural_key)
        more = f" and {len(names) - 3} more" if len(names) > 3 else ""
        yield (
            f"warning: {len(names)} {results.what} are left out, they failed: "
            f"{', '.join(names[:3])}{more}"
        )
