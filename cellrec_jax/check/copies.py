"""Images that are there twice, or nearly, and what leaks from one split to another."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
import itertools
import re

import numpy as np

from cellrec_jax.check import prints
from cellrec_jax.check.facts import Facts
from cellrec_jax.check.rules import WARNING, Finding, finding

Splits = Mapping[str, Sequence[str]]
"""Name of a split -> image ids."""

_TCGA = re.compile(r"TCGA-\w\w-\w{4}", re.IGNORECASE)
_TILE = re.compile(
    r"""(.*\d.*?)[\s_-]*(
        \[[^\]]*x=\d+,\s*y=\d+[^\]]*\]                  # of QuPath
        | x[=_-]?\d+[\s_,-]+y[=_-]?\d+.*
        | (tile|patch|roi|fov|field|crop|region)[\s_-]*\d+
    )""",
    re.IGNORECASE | re.VERBOSE,
)


def twins(images: Sequence[Facts], splits: Splits) -> Iterator[Finding]:
    """Pairs of images of the same pixels, or nearly so; across splits they leak."""
    split_of = _split_of(splits)
    by_pixels: dict[bytes, list[Facts]] = defaultdict(list)
    for one in images:
        by_pixels[one.pixels].append(one)
    for same in by_pixels.values():
        for first, second in itertools.pairwise(same):
            yield _pair("same-image", "leak", first, second, split_of, "the pixels")
    # Images without structure have no print.
    others = [same[0] for same in by_pixels.values() if np.ptp(same[0].look)]
    if len(others) < 2:
        return
    # Of many, as frames of a film, each is told with the one most like it.
    best: dict[tuple[str, int], tuple[int, Finding]] = {}
    for i, j, bits in prints.pairs(np.stack([one.look for one in others])):
        share = f"{1 - bits / prints.LENGTH:.0%} of the print"
        pair = _pair("alike", "leak-alike", others[i], others[j], split_of, share)
        known = best.setdefault((pair.rule, j), (bits, pair))
        if bits < known[0]:
            best[pair.rule, j] = bits, pair
    yield from (pair for _, pair in best.values())


def _pair(
    rule: str,
    leak: str,
    first: Facts,
    second: Facts,
    split_of: Mapping[str, str],
    what: str,
) -> Finding:
    text = f"{what} of {first.image_id}"
    sides = [split_of.get(one.image_id, "") for one in (first, second)]
    if all(sides) and sides[0] != sides[1]:
        rule = leak
        text += f", which is in {sides[0]}; this one is in {sides[1]}"
    return finding(rule, second.image_id, text)


def groups(images: Sequence[Facts], splits: Splits) -> Iterator[Finding]:
    """Slides or patients of which several splits have images.

    Those that names of tiles tell alone are warnings.
    """
    split_of, slides = _split_of(splits), slides_of([one.image_id for one in images])
    members: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    is_named = set()
    for one in images:
        group, split = group_of(one), split_of.get(one.image_id)
        if not group and (group := slides.get(one.image_id, "")):
            is_named.add(group)
        if group and split:
            members[group][split].append(one.image_id)
    for group, by_split in members.items():
        if len(by_split) < 2:
            continue
        parts = [f"{len(ids)} in {split}" for split, ids in by_split.items()]
        last = list(by_split.values())[-1][0]
        text = f"{group}: images {', '.join(parts)}, such as this one"
        weight = WARNING if group in is_named else ""
        yield finding("leak-group", last, text, weight=weight)


def slides_of(image_ids: Sequence[str]) -> dict[str, str]:
    """Image id -> what stands before the place or number of a tile, with a digit.

    Empty where it is the same for all, which tells nothing.

    Example:
      >>> slides_of(["train/S1_x0_y512", "S1 [x=0,y=512,w=9,h=9]", "S22-tile 3", "b"])
      {'train/S1_x0_y512': 'S1', 'S1 [x=0,y=512,w=9,h=9]': 'S1', 'S22-tile 3': 'S22'}
      >>> slides_of(["set1_tile1", "set1_tile2"]), slides_of(["img_x0_y0", "b_roi2"])
      ({}, {})
    """
    matches = ((i, _TILE.fullmatch(i.rpartition("/")[2])) for i in image_ids)
    found = {image_id: match[1] for image_id, match in matches if match}
    return found if len(set(found.values())) > 1 else {}


def group_of(facts: Facts) -> str:
    """Slide or patient of an image: what its set says, or a TCGA patient of its name.

    Example:
      >>> bool(_TCGA.search("train/tcga-A1-a0sk-01Z-00-DX1_10_20"))
      True
    """
    if facts.group:
        return facts.group
    found = _TCGA.search(facts.image_id)
    return found[0].upper() if found else ""


def _split_of(splits: Splits) -> dict[str, str]:
    return {image_id: name for name, ids in splits.items() for image_id in ids}
