"""Labels of a round as files, to look at, to edit by hand and to go on from.

`round_1.json` holds a point a line; `round_1/<image>.geojson`, for QuPath, is only to
look at. (x, y) in px on disk; "round" and "rank" may be left out:

    {"x":10.5,"y":20.0,"origin":"pseudo_positive","round":1,"rank":3.25}
"""

from collections import Counter
from collections.abc import Mapping
import os
from typing import Any, NamedTuple, TypeGuard

from etils import epath
import numpy as np
import orjson

from cellrec_jax import errors
from cellrec_jax.io import atomic, geojson

GIVEN = "given"
POSITIVE = "pseudo_positive"
NEGATIVE = "pseudo_negative"
ORIGINS = (GIVEN, POSITIVE, NEGATIVE)
COLORS = ((255, 214, 10), (230, 20, 45), (30, 136, 255))
"""(red, green, blue) of `ORIGINS`: yellow, red and blue as in Fig. 3 of the paper."""

_VERSION = 1
_LARGEST = float(np.finfo(np.float32).max)

Sizes = Mapping[str, tuple[int, int]]
"""(H, W) of each image by its id."""


class ImageLabels(NamedTuple):
    """Labels of one image."""

    points_yx: np.ndarray
    """f32 [N, 2] px, in [0, H) x [0, W)."""
    origins: tuple[str, ...]
    """N of `ORIGINS`; a pseudo-negative is known background."""
    rounds: np.ndarray
    """i32 [N], the round that the label was added for, 0 where it was given."""
    ranks: np.ndarray
    """f32 [N], the score that it was selected by; NaN where it was given."""


class RoundLabels(NamedTuple):
    """What a file holds."""

    round_number: int
    images: dict[str, ImageLabels]


class Difference(NamedTuple):
    """Labels of one set that are not in the other."""

    added: int
    removed: int


def given(points_yx: np.ndarray) -> ImageLabels:
    """Labels of round 0, that a person gave, of points [N, 2] px; N may be 0."""
    points_yx = np.asarray(points_yx, np.float32).reshape(-1, 2)
    num = len(points_yx)
    ranks = np.full(num, np.nan, np.float32)
    return ImageLabels(points_yx, (GIVEN,) * num, np.zeros(num, np.int32), ranks)


def only_given(labels: ImageLabels) -> ImageLabels:
    """The given labels of an image, as they are, without pseudo labels."""
    kept = np.array(labels.origins, np.str_) == GIVEN
    points_yx, _, rounds, ranks = labels
    origins = (GIVEN,) * int(kept.sum())
    return ImageLabels(points_yx[kept], origins, rounds[kept], ranks[kept])


def write(
    path: str | os.PathLike[str],
    round_number: int,
    labels: Mapping[str, ImageLabels],
    sizes: Sizes,
) -> None:
    """Writes the labels of all images, px on disk, and for QuPath a file for each.

    The JSON file is last: where it is, the others are whole, in a folder of its name,
    in sub-folders where ids have "/"; there the rank is "score", 1 for given labels.
    `read` gives back the same labels; DataError for what it would not accept, nothing
    is written then.
    """
    content = _encode(round_number, labels, sizes)
    # What will be in the file is checked, not what was meant.
    _decode(orjson.loads(content), sizes, f"cannot write {path}")
    folder = epath.Path(path).with_suffix("")
    for image_id, image in labels.items():
        geojson.write_geojson(
            folder / f"{image_id}.geojson",
            image.points_yx,
            np.where(np.isnan(image.ranks), 1.0, image.ranks),
            np.array([ORIGINS.index(origin) for origin in image.origins], np.int64),
            ORIGINS,
            COLORS,
        )
    atomic.write_bytes(path, content)


def read(path: str | os.PathLike[str], sizes: Sizes) -> RoundLabels:
    """Reads and checks labels that were written here and may have been edited.

    The images are those of `sizes`, in its order. A point without "round" is of the
    file's round (0 if given), one without "rank" has NaN. DataError names file, image
    and point (from 1 on): no JSON, an unknown or missing image, another size, a point
    outside of its image, no number, an unknown origin, round or rank.
    """
    try:
        parsed = orjson.loads(epath.Path(path).read_bytes())
    except OSError as error:
        reason = error.strerror or str(error)
        raise errors.DataError(f"cannot read labels {path}: {reason}") from error
    except orjson.JSONDecodeError as error:
        raise errors.DataError(
            f"{path}: not valid JSON ({error}); mend that line, or delete the file to "
            "have the labels selected anew"
        ) from error
    return _decode(parsed, sizes, str(path))


def read_sizes(path: str | os.PathLike[str]) -> dict[str, tuple[int, int]]:
    """(H, W) of each image of a file that was written here and not edited."""
    images = orjson.loads(epath.Path(path).read_bytes())["images"]
    return {image_id: tuple(image["size_hw"]) for image_id, image in images.items()}


def difference(
    before: Mapping[str, ImageLabels], after: Mapping[str, ImageLabels]
) -> Difference:
    """Counts labels only in `after`, only in `before`; rounds and ranks are unread."""
    old, new = _count(before), _count(after)
    return Difference((new - old).total(), (old - new).total())


def _count(labels: Mapping[str, ImageLabels]) -> Counter[tuple[Any, ...]]:
    return Counter(
        (image_id, float(y), float(x), origin)
        for image_id, image in labels.items()
        for (y, x), origin in zip(image.points_yx, image.origins, strict=True)
    )


def _encode(
    round_number: int, labels: Mapping[str, ImageLabels], sizes: Sizes
) -> bytes:
    """The whole file, a point a line."""
    images = []
    for image_id, image in labels.items():
        points = ",\n".join(_line(*fields) for fields in zip(*image, strict=True))
        size_hw = _json([int(value) for value in sizes.get(image_id, ())])
        points = f"[\n{points}\n]" if points else "[]"
        images.append(f'{_json(image_id)}:{{"size_hw":{size_hw},"points":{points}}}')
    head = f'{{"version":{_VERSION},"round":{int(round_number)},"images":{{'
    return "\n".join([head, ",\n".join(images), "}}", ""]).encode()


def _line(
    point_yx: np.ndarray, origin: str, round_number: int, rank: np.float32
) -> str:
    """One point; the shortest decimals that read as the same float32."""
    y, x, rank = np.array([*point_yx, rank], np.float32)
    fields = {"x": x, "y": y, "origin": origin, "round": int(round_number)}
    return _json({**fields, "rank": rank})


def _json(value: Any) -> str:
    return orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY).decode()


def _decode(parsed: Any, sizes: Sizes, path: str) -> RoundLabels:
    """Checks everything; messages start with `path`."""
    images = parsed.get("images") if isinstance(parsed, dict) else None
    if not isinstance(images, dict):
        raise errors.DataError(f'{path}: no "images"; these are no labels of a round')
    if parsed.get("version") != _VERSION:
        raise errors.DataError(
            f"{path}: version is {parsed.get('version')!r}, only {_VERSION} can be read"
        )
    round_number = parsed.get("round")
    if not _is_count(round_number):
        raise errors.DataError(
            f'{path}: "round" is {round_number!r}, not a whole number from 0 on'
        )
    _check_ids(images, sizes, path)
    found = {}
    for image_id, size_hw in sizes.items():
        where = f"{path}: image {image_id!r}"
        found[image_id] = _decode_image(images[image_id], size_hw, round_number, where)
    return RoundLabels(round_number, found)


def _check_ids(images: Mapping[str, Any], sizes: Sizes, path: str) -> None:
    unknown = [image_id for image_id in images if image_id not in sizes]
    if unknown:
        raise errors.DataError(
            f"{path}: image {unknown[0]!r} is no training image ({len(unknown)} such); "
            "remove it, or train on the images that the labels were made for"
        )
    missing = [image_id for image_id in sizes if image_id not in images]
    if missing:
        raise errors.DataError(
            f"{path}: image {missing[0]!r} is missing ({len(missing)} such); add it, "
            'with "points":[] if it has no labels'
        )


def _decode_image(
    image: Any, size_hw: tuple[int, int], round_number: int, where: str
) -> ImageLabels:
    points = image.get("points") if isinstance(image, dict) else None
    if not isinstance(points, list):
        raise errors.DataError(f'{where}: no list of "points"; write [] if it has none')
    if image.get("size_hw") != list(size_hw):
        raise errors.DataError(
            f"{where}: size_hw is {image.get('size_hw')}, but the image is "
            f"{size_hw[0]} x {size_hw[1]}; use the labels of this very image"
        )
    rows = []
    for number, point in enumerate(points, start=1):
        try:
            rows.append(_decode_point(point, size_hw, round_number))
        except ValueError as error:
            raise errors.DataError(f"{where}: point {number}: {error}") from error
    points_yx, origins, rounds, ranks = zip(*rows, strict=True) if rows else ((),) * 4
    return ImageLabels(
        np.array(points_yx, np.float32).reshape(-1, 2),
        tuple(origins),
        np.array(rounds, np.int32),
        np.array(ranks, np.float32),
    )


def _decode_point(
    point: Any, size_hw: tuple[int, int], round_number: int
) -> tuple[tuple[float, float], str, int, float]:
    """Raises ValueError with what is wrong and what to do."""
    if not isinstance(point, dict):
        raise ValueError(f'{point!r} is no point; write {{"x":..,"y":..,"origin":..}}')
    y, x, origin = point.get("y"), point.get("x"), point.get("origin")
    if not (_is_number(y) and _is_number(x)):
        raise ValueError(f"(x, y) is ({x!r}, {y!r}); both must be numbers")
    # As float32, since that is what must lie inside: rounding may reach the border.
    if not (0 <= np.float32(y) < size_hw[0] and 0 <= np.float32(x) < size_hw[1]):
        raise ValueError(
            f"({x:g}, {y:g}) is outside of the image, {size_hw[1]} px wide and "
            f"{size_hw[0]} px high; move or remove it"
        )
    if origin not in ORIGINS:
        raise ValueError(f"unknown origin {origin!r}; use one of {', '.join(ORIGINS)}")
    added = point.get("round", 0 if origin == GIVEN else round_number)
    rank = point.get("rank")
    if not _is_count(added):
        raise ValueError(f"round is {added!r}, not a whole number from 0 on")
    if not (rank is None or _is_number(rank)):
        raise ValueError(f"rank is {rank!r}; write a number or null")
    return (y, x), origin, added, np.nan if rank is None else rank


def _is_number(value: Any) -> TypeGuard[float]:
    """Whether this is a number that float32 can hold."""
    return type(value) in (int, float) and abs(value) <= _LARGEST


def _is_count(value: Any) -> TypeGuard[int]:
    return type(value) is int and 0 <= value < 2**31
