"""Writes predictions that were corrected as a set to train on, whole or not at all."""

from collections import Counter
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
import os
import shutil
from typing import Any, NamedTuple

from etils.epath import Path
import numpy as np

from cellrec_jax import errors, polygons
from cellrec_jax.convert.corrections import compare, encode
from cellrec_jax.data.annotations import qupath
from cellrec_jax.data.annotations.content import Annotations, mapped
from cellrec_jax.data.classes import label_map
from cellrec_jax.data.pixels import slides
from cellrec_jax.data.readers.point_tables import LABEL_MAP
from cellrec_jax.data.record import Source
from cellrec_jax.data.text import composed
from cellrec_jax.io import atomic, qupath_names

IMAGES = ("link", "copy", "none")
_ENDINGS = (".geojson", ".geojson.gz", ".json", ".json.gz")
OUTSIDE = (
    "given cells, and known background, outside of the areas Region* in the corrected "
    "files: nothing is learnt of them; draw areas there, too, before you export"
)
LEFT = (
    "images of --keep that were not predicted and exported: they are not in the set; "
    "predict and export these, too"
)


class Predicted(NamedTuple):
    """An image and what was predicted in it."""

    image: Path
    geojson: Path


class Outcome(NamedTuple):
    """What was written."""

    images: dict[str, Counter[str]]
    """Image -> what `compare` counted."""
    names: Counter[str]
    """Class -> given cells."""
    notes: Counter[str]
    """What of the corrected files was not read -> how often."""


def write(
    predicted: Mapping[str, Predicted],
    corrected: Path,
    output: Path,
    before: Source | None = None,
    *,
    radius_px: float,
    trust: float | None,
    images: str = IMAGES[0],
    class_names: Sequence[str] = (),
) -> Outcome:
    """Writes `annotations/` and `images/` of the images that were corrected.

    And `label_map.yaml`: `class_names`, which should be the model's, so that training
    on keeps what it knows of each, then the others. Where QuPath calls one of these
    otherwise (Positive), it is the model's.

    `predicted` is by name, which may have folders; `corrected` a file, of the only
    image or of that of its name, or a folder with a file an image: NAME.geojson with or
    without the image's own ending, or as QuPath calls it, `.gz` or not. Others are left
    out. Options and errors are those of `compare`; a ConfigError for an `output` that
    has something, a DataError where no image was corrected.
    """
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise errors.ConfigError(
            f"--output {output}: there is something; choose a new folder"
        )
    found: dict[str, Counter[str]] = {}
    names, notes = Counter[str](), Counter[str]()
    kinds = dict.fromkeys(class_names)
    with atomic.atomic_folder(output) as folder:
        for name, file in _files(predicted, corrected):
            one, image_id = predicted[name], Path(name).with_suffix("").as_posix()
            place = _place(folder / "annotations" / f"{image_id}.geojson")
            if place.exists():
                raise errors.DataError(
                    f"{one.image}: another image there has that name, too, with "
                    "another ending: rename one and predict it anew"
                )
            known = _known(before, composed(image_id))
            cells, found[name] = _compared(
                one, file, known, class_names, radius_px=radius_px, trust=trust
            )
            assert cells.trust is not None  # `compare` sets it
            given = np.asarray(cells.names)[cells.trust == 1].tolist()
            names.update(given)
            notes.update(cells.notes)
            if outside := _num_outside(cells):
                notes[OUTSIDE] += outside
            kinds |= dict.fromkeys(sorted(set(cells.names)))
            place.write_bytes(encode(cells))
            _add_image(one.image, folder / "images" / name, images)
        if before is not None and (left := _num_left(before, found)):
            notes[LEFT] += left
        if class_names and "" not in kinds:
            (folder / LABEL_MAP).write_text(label_map(kinds))
    return Outcome(found, names, notes)


def _num_left(before: Source, names: Iterable[str]) -> int:
    """Images of a set that are none of these; of slides, whose tiles it has, none."""
    if before.parts:
        return 0
    done = {composed(Path(name).with_suffix("").as_posix()) for name in names}
    return len(set(before.image_ids) - done)


def _num_outside(cells: Annotations) -> int:
    """Given cells, and known background, beyond all areas that were looked at."""
    if not cells.annotated:
        return 0
    assert cells.trust is not None  # `compare` sets it
    sure = cells.points_yx[np.abs(cells.trust) == 1]
    is_inside = [polygons.inside(one, sure) for one in cells.annotated]
    return len(sure) - int(np.any(is_inside, axis=0).sum())


def _renamed(read: Annotations, class_names: Sequence[str]) -> Annotations:
    """With the model's names of classes."""
    own = qupath_names.own_names(class_names)
    return read._replace(names=qupath_names.restored(read.names, own))


def _files(
    predicted: Mapping[str, Predicted], corrected: Path
) -> Iterator[tuple[str, Path]]:
    """Names of images and what they were corrected to; none at all is a DataError."""
    if corrected.is_file():
        named = {name for name in predicted if corrected in _options(corrected, name)}
        names = named or (set(predicted) if len(predicted) == 1 else set())
        if len(names) != 1:
            raise errors.DataError(
                f"{corrected}: which of {len(predicted)} predicted images it is of is "
                f"not to be told: call it as one, such as {_example(predicted)}"
            )
        yield names.pop(), corrected
        return
    num_found = 0
    for name in predicted:
        files = [one for one in _options(corrected / name, name) if one.is_file()]
        if len(files) > 1:
            raise errors.DataError(f"{files[0]} and {files[1]} are of one image")
        if files:
            num_found += 1
            yield name, files[0]
    if not num_found:
        raise errors.DataError(
            f"{corrected}: no corrected file of {len(predicted)} predicted images: "
            f"export objects of each as GeoJSON, such as {_example(predicted)}"
        )


def _options(beside: Path, name: str) -> list[Path]:
    """Files of an image in a folder, by what they may be called."""
    whole = Path(name).name
    stems = dict.fromkeys((whole, Path(whole).stem))
    return [beside.parent / f"{stem}{ending}" for stem in stems for ending in _ENDINGS]


def _example(predicted: Mapping[str, Predicted]) -> str:
    return f"{next(iter(predicted), 'IMAGE.png')}.geojson"


def _compared(
    one: Predicted,
    file: Path,
    known: Annotations | None,
    class_names: Sequence[str],
    **options: Any,
) -> tuple[Annotations, Counter[str]]:
    """What `compare` says of an image; errors name a file of it."""
    corner_yx = _corner(one.image)
    old = _parsed(one.geojson, corner_yx)
    called = qupath_names.qupath_names(class_names)
    # What is written of predictions says what these were called; exports do not.
    if set(old.names) & (set(called) - set(class_names)):
        raise errors.DataError(
            f"{one.geojson}: is not as it was predicted, but exported from QuPath over "
            "it: move it to another folder, the corrected one, and predict the image "
            "anew"
        )
    new = _parsed(file, corner_yx, {*class_names, *called, *old.names} - {""})
    try:
        return compare(old, _renamed(new, class_names), known, **options)
    except errors.DataError as error:
        raise errors.DataError(f"{file}: {error}") from error


def _corner(image: Path) -> tuple[int, int]:
    """Where QuPath crops a slide, (y, x) px of level 0; (0, 0) of an image."""
    if not slides.is_slide(image):
        return 0, 0
    return slides.describe(image).corner_yx


def _parsed(
    file: Path, corner_yx: tuple[int, int], cell_names: Container[str] = ()
) -> Annotations:
    """A file in px as QuPath counts, also if it counts from the slide's own corner."""
    read = qupath.parse(file, corner_yx, cell_names=cell_names)
    return mapped(read, shift_yx=np.negative(corner_yx)) if any(corner_yx) else read


def _known(before: Source | None, image_id: str) -> Annotations | None:
    """What a set holds of an image, or in tiles of a slide; None where it has none."""
    if before is None:
        return None
    whole = {
        one: before.parts[one].slide if one in before.parts else one
        for one in before.image_ids
    }
    parts = [_of(before, one) for one, of in whole.items() if of == image_id]
    if not parts:
        return None
    trust = [np.ones(len(p.names)) if p.trust is None else p.trust for p in parts]
    return Annotations(
        np.concatenate([part.points_yx for part in parts]),
        tuple(name for part in parts for name in part.names),
        np.concatenate([part.boxes_yxyx for part in parts]),
        np.concatenate([part.scores for part in parts]),
        trust=np.concatenate(trust),
    )


def _of(before: Source, image_id: str) -> Annotations:
    """Cells of an image; boxes that the border of a tile cuts are left out."""
    record = (before.annotations or before.load)(image_id)
    number, part = len(record.labels), before.parts.get(image_id)
    points_yx, boxes = record.points_yx.astype(np.float64), np.full((number, 4), np.nan)
    if record.boxes_yxyx is not None:
        boxes = record.boxes_yxyx.astype(np.float64)
    if part is not None:
        low, high = np.split(boxes, 2, axis=1)
        is_cut = np.any((low <= 0) | (high >= record.image.shape[:2]), axis=1)
        boxes = part.on_slide(np.where(is_cut[:, None], np.nan, boxes))
        points_yx = part.on_slide(points_yx)
    return Annotations(
        points_yx,
        tuple(before.class_names[label] for label in record.labels),
        boxes,
        np.full(number, np.nan),
        trust=record.trust,
    )


def _add_image(image: Path, target: Path, how: str) -> None:
    """The image as a file, or a link to where it is."""
    if how == "copy":
        shutil.copyfile(image, _place(target))
    elif how == "link":
        os.symlink(os.path.abspath(image), _place(target))


def _place(file: Path) -> Path:
    """A file whose folder is there."""
    file.parent.mkdir(parents=True, exist_ok=True)
    return file
