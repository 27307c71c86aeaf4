"""Scores of images and of all together: values, intervals, fields, corrected ones."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from cellrec_jax.score import estimate, intervals, units, windows
from cellrec_jax.score.definitions import Score
from cellrec_jax.score.estimate import Correction, Measured
from cellrec_jax.score.sheets import Results, Sheet

ALL, HOT_SPOT, MOST = "all", "hot spot", "most"
"""Where a score is of: all that was looked at, or a field of it."""
MITOSES_MM2 = 2.0
"""Area of the field with the most mitoses."""
LEAST_CELLS = 500
"""Cells below the line of a hot spot."""


class Row(NamedTuple):
    """A score of an image, of a field of it, or of all images."""

    image: str
    """Empty for all together."""
    score: Score
    where: str
    """One of `ALL`, `HOT_SPOT` and `MOST`."""
    plain: Measured
    corrected: Measured | None
    """None without fields that tell how."""
    units: str
    """What was drawn again for the interval."""
    area_mm2: float | None
    mpp: float
    """Micrometres per px; 0 where unknown, or not the same of all images."""
    mpp_source: str
    tiles_left_out: int
    field: windows.Field | None
    warnings: tuple[str, ...]


def rows(
    results: Results,
    scores: Sequence[Score],
    hot_spot_mm2: float = 1.0,
    by: Correction | None = None,
) -> list[Row]:
    """All scores: of all together where there are several images, then of each.

    Fields are squares of `hot_spot_mm2` for shares of cells, of `MITOSES_MM2` for
    mitoses, where an image, or the frame of its cells, is larger.
    """
    found = []
    if len(results.sheets) > 1:
        found += _of(results.sheets, "", scores, by)
    for sheet in results.sheets:
        found += _of([sheet], sheet.name, scores, by)
        for score in scores:
            found += _of_field(sheet, score, hot_spot_mm2, by)
    return found


def _of_field(
    sheet: Sheet, score: Score, hot_spot_mm2: float, by: Correction | None
) -> list[Row]:
    """The field of a score that has one, where the image is larger."""
    where = HOT_SPOT if score.is_share else MOST
    if not (score.is_share or score.name == "mitoses_per_mm2"):
        return []
    size = hot_spot_mm2 if score.is_share else MITOSES_MM2
    if not sheet.mpp or sheet.area_px() * sheet.mpp**2 / 1e6 <= size:
        return []
    points_yx = sheet.points_yx * sheet.mpp / 1000
    field = windows.highest(points_yx, sheet.labels, score, size, LEAST_CELLS)
    if field is None:
        return []
    held = field.holds(points_yx)
    side = field.side_mm * 1000 / sheet.mpp
    part = sheet._replace(
        points_yx=sheet.points_yx[held] - np.array(field.corner_yx) * 1000 / sheet.mpp,
        labels=sheet.labels[held],
        size_hw=(round(side), round(side)),
        area_mm2=size,
        tiles_left_out=0,
    )
    (row,) = _of([part], sheet.name, [score], by)
    return [row._replace(where=where, field=field)]


def _of(
    sheets: Sequence[Sheet],
    name: str,
    scores: Sequence[Score],
    by: Correction | None,
) -> list[Row]:
    """Scores of some images together."""
    own = units.of_sheets(sheets, len(scores[0].above))
    drawn = intervals.totals(np.column_stack([own.counts, own.areas_mm2]))
    counts, areas = drawn[:, :-1], drawn[:, -1]
    shifted = None if by is None else estimate.corrected_draws(counts, by)
    area = None if np.isnan(areas[0]) else float(areas[0])
    mpps = {one.mpp for one in sheets}
    mpp = mpps.pop() if len(mpps) == 1 else 0.0
    sources = {one.mpp_source for one in sheets if one.mpp_source}
    found = []
    for score in scores:
        plain = estimate.plain(score, own, counts, areas)
        mended = None
        if by is not None and shifted is not None:
            mended = estimate.mended(score, own, plain, counts[0], shifted, areas, by)
        found.append(
            Row(
                name,
                score,
                ALL,
                plain,
                mended,
                own.what,
                area,
                mpp,
                ", ".join(sorted(sources)),
                sum(one.tiles_left_out for one in sheets),
                None,
                tuple(_warnings(score, plain, area)),
            )
        )
    return found


def _warnings(score: Score, plain: Measured, area: float | None) -> list[str]:
    """What is below the usual least numbers, with who says so."""
    found = [
        f"{plain.denominator or 0:.0f} cells, fewer than the {least.number} of "
        f"{least.what} ({least.source})"
        for least in score.least
        if (plain.denominator or 0) < least.number
    ]
    if score.name == "mitoses_per_mm2" and area is not None and area < MITOSES_MM2:
        found.append(f"{area:.3g} mm2, less than the {MITOSES_MM2:g} mm2 of a field")
    return found
