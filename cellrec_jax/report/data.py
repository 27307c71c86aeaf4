"""The images and labels that a model was trained, tuned and tested on."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from cellrec_jax.data.survey import Entry
from cellrec_jax.report.blocks import (
    Block,
    Cell,
    Folded,
    Notes,
    Section,
    Table,
    Text,
    row,
)
from cellrec_jax.report.found import Found
from cellrec_jax.report.names import Names

SPLITS = {"train": "training", "val": "validation", "test": "test"}
_MOST_IMAGES = 1000


def section(found: Found, names: Names) -> Section:
    """Splits, labels of each class, sizes; the images folded."""
    entries = _entries(found)
    blocks: list[Block] = [Text(_source(found, names))]
    if found.splits:
        blocks.append(_splits(found, entries))
    else:
        blocks.append(Notes(("splits.json is missing: which images is not known",)))
    if sizes := _sizes(found, entries):
        blocks.append(Text(" ".join(sizes)))
    if repairs := _repairs(entries):
        blocks.append(Notes(tuple(repairs)))
    blocks += [
        Folded(f"{title} images ({len(ids)})", _images(ids, entries, found, names))
        for split, title in SPLITS.items()
        if (ids := found.splits.get(split))
    ]
    return Section("data", "Data", tuple(blocks))


def _entries(found: Found) -> dict[str, Entry]:
    """What the survey has of training images."""
    wanted = set(found.splits.get("train", found.survey))
    return {
        image: Entry(*entry) for image, entry in found.survey.items() if image in wanted
    }


def _source(found: Found, names: Names) -> str:
    config = found.config.get("data", {})
    root = config.get("root", "")
    if root == "synthetic":
        wide = config.get("synthetic_domain", "")
        wide = f", varied by {wide}" if wide else ""
        return f"Generated images, {config.get('synthetic_kind')}{wide}."
    text = f"From {names.of(root, 'folder')}, read as {config.get('format')}."
    if (rate := config.get("keep_rate", 1.0)) != 1:
        text += f" {rate:.0%} of each training image's labels were used."
    if (share := config.get("marked_share", 1.0)) != 1:
        part = f"{share:.0%}" if share else "an unknown share"
        text += f" Annotations mark {part} of the cells."
    return text


def _splits(found: Found, entries: Mapping[str, Entry]) -> Table:
    classes = found.class_names
    of_split = {
        "train": _per_class([one.num_per_class for one in entries.values()]),
        "val": list(found.meta.get("decode", {}).get("num_labels", ())),
        "test": _tested(found),
    }
    rows = []
    for split, title in SPLITS.items():
        images = found.splits.get(split, [])
        numbers = of_split[split] if images else []
        numbers = numbers if any(numbers) else []  # none were looked at
        total = f"{sum(numbers):,}" if numbers else ""
        by_class = [f"{number:,}" for number in numbers] or [""] * len(classes)
        cells = by_class if len(classes) > 1 else []
        rows.append(
            row(title, f"{len(images):,}", Cell(total, _of_all(found, split)), *cells)
        )
    heads = classes if len(classes) > 1 else ()
    return Table(("", "images", "labels", *heads), tuple(rows))


def _of_all(found: Found, split: str) -> str:
    """How many of the annotations training uses, where these are not all."""
    kept, total = (
        found.run.get(name, found.meta.get(name))
        for name in ("cells_kept", "cells_total")
    )
    return f"of {total:,}" if split == "train" and kept != total and total else ""


def _per_class(parts: Sequence[Sequence[int]]) -> list[int]:
    return [sum(numbers) for numbers in zip(*parts, strict=True)]


def _tested(found: Found) -> list[int]:
    """Cells of each class in the images that were measured."""
    rows = found.per_image
    ids = set(found.splits.get("test", ()))
    if not rows or {one["image"] for one in rows} != ids:
        return []
    for kind in ("num_truth", "num_labels"):
        if len(found.class_names) == 1 and kind in rows[0]:
            return [sum(int(one[kind]) for one in rows)]
        columns = [f"{kind}/{name}" for name in found.class_names]
        if columns and all(name in rows[0] for name in columns):
            return [sum(int(one[name]) for one in rows) for name in columns]
    return []


def _sizes(found: Found, entries: Mapping[str, Entry]) -> list[str]:
    """Sizes on disk and what training sees of them."""
    lines = []
    sizes = Counter(f"{h} x {w}" for h, w in (one.size_hw for one in entries.values()))
    if sizes:
        common, number = sizes.most_common(1)[0]
        others = len(entries) - number
        also = f", {others} of other sizes" if others else ""
        lines.append(f"Training images are {common} px (height x width){also}.")
    if mpp := found.meta.get("mpp"):
        lines.append(f"A px of theirs is {mpp:g} µm.")
    config = found.config.get("data", {})
    crop = config.get("crop_hw") or (0, 0)
    if any(crop):
        lines.append(f"Training sees random crops of {crop[0]} x {crop[1]} px.")
    return lines


def _repairs(entries: Mapping[str, Entry]) -> list[str]:
    """What had to be repaired, and cells that did not fit."""
    repaired: Counter[str] = Counter()
    for one in entries.values():
        repaired.update(one.repairs)
        if one.num_dropped:
            repaired["cells beyond data.max_cells"] += one.num_dropped
    return [f"in training images: {number} {what}" for what, number in repaired.items()]


def _images(
    ids: Sequence[str], entries: Mapping[str, Entry], found: Found, names: Names
) -> tuple[Block, ...]:
    """Their names; of surveyed ones what they hold."""
    shown = ids[:_MOST_IMAGES]
    more: tuple[Block, ...] = ()
    if len(ids) > len(shown):
        more = (Notes((f"{len(ids) - len(shown)} more are in splits.json",)),)
    if not all(image in entries for image in shown):
        return (Text(", ".join(names.of(image) for image in shown)), *more)
    classes = found.class_names if len(found.class_names) > 1 else ()
    rows = [_image(image, entries[image], classes, names) for image in shown]
    return (Table(("image", "px", "labels", *classes), tuple(rows)), *more)


def _image(
    image: str, entry: Entry, classes: Sequence[str], names: Names
) -> tuple[Cell, ...]:
    kept: Any = entry.num_kept
    if entry.num_kept != entry.num_total:
        kept = f"{entry.num_kept} of {entry.num_total}"
    by_class = entry.num_per_class if classes else ()
    height, width = entry.size_hw
    size = f"{height} x {width}"
    return row(names.of(image), size, str(kept), *map(str, by_class))
