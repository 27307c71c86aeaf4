"""Which images train, validate and test, as a configuration asks for."""

from collections.abc import Callable, Mapping, Sequence
import fnmatch
import hashlib
import itertools
import re

from etils.epath import Path

from cellrec_jax import errors
from cellrec_jax.config import DataConfig
from cellrec_jax.data.readers import SLIDES, voc
from cellrec_jax.data.record import Source
from cellrec_jax.data.text import composed

Ids = tuple[str, ...]
Chosen = tuple[list[Ids], tuple[str, ...]]
"""Ids to train, validate and test on, and what the user should know."""
Count = Callable[[], Mapping[str, int]]
"""Annotated cells of each image; only asked for where folds are dealt."""

_AUTO_FOLDS = 10  # one validates, two test, the rest train
_SPLIT_FOLDERS = {
    "train": "train",
    "val": "val",
    "valid": "val",  # of Roboflow
    "validation": "val",
    "test": "test",
}
_RANGE = re.compile(r"(\d+)-(\d+)")
_WILDCARDS = frozenset("*?[")
_NUM_SHOWN = 3  # ids named in a message


def select_ids(
    image_ids: Sequence[str], spec: str, *, key: str = "data.train_ids"
) -> tuple[str, ...]:
    """Image ids that a specification names, in the set's order.

    `spec` is comma-separated ids ("train/3"), ranges of whole-number ids with both ends
    ("0-15"), or globs ("train/*"). An id that exists is taken as it is. A part that
    names none is a `DataError` about `key`.

    Example:
      >>> select_ids(("0", "1", "2", "a/b"), "1-2, a/*")
      ('1', '2', 'a/b')
    """
    known = frozenset(image_ids)
    chosen: set[str] = set()
    for part in filter(None, map(str.strip, composed(spec).split(","))):
        found = _match(image_ids, known, part, key)
        if not found:
            raise errors.DataError(
                f"{key}: {part!r} names no image; {_describe_ids(image_ids)}"
            )
        chosen.update(found)
    if not chosen:
        raise errors.DataError(f"{key} is empty; {_describe_ids(image_ids)}")
    return tuple(image_id for image_id in image_ids if image_id in chosen)


def _match(
    image_ids: Sequence[str], known: frozenset[str], part: str, key: str
) -> Sequence[str]:
    """Ids that one part of a specification names; empty if none."""
    if part in known:
        return (part,)
    if span := _RANGE.fullmatch(part):
        first, last = int(span[1]), int(span[2])
        found = [i for i in image_ids if i.isdecimal() and first <= int(i) <= last]
        if found and len(found) <= last - first:
            raise errors.DataError(
                f"{key}: {part!r} asks for {last - first + 1} images but only "
                f"{len(found)} of them exist; {_describe_ids(image_ids)}"
            )
        return found
    if _WILDCARDS & set(part):
        return [i for i in image_ids if fnmatch.fnmatchcase(i, part)]
    return ()


def _describe_ids(image_ids: Sequence[str]) -> str:
    """Half a sentence that shows what could have been asked for."""
    if not image_ids:
        return "the set has no images"
    shown = ", ".join(image_ids[:_NUM_SHOWN])
    more = ", ..." if len(image_ids) > _NUM_SHOWN else ""
    return (
        f"the set's {len(image_ids)} ids are {shown}{more}; "
        f"give e.g. {_example(image_ids)!r}"
    )


def _example(image_ids: Sequence[str]) -> str:
    """A specification that is valid for `image_ids` (at least one)."""
    first = image_ids[0]
    if "/" in first:
        return first.rsplit("/", 1)[0] + "/*"
    run = 0
    while first.isdecimal() and str(int(first) + run + 1) in image_ids:
        run += 1
    return f"{first}-{int(first) + run}" if run else first


def check_disjoint(train: Ids, val: Ids, test: Ids) -> None:
    """Raises `DataError` if an image is in two splits."""
    named = (("train", train), ("val", val), ("test", test))
    for (name_a, ids_a), (name_b, ids_b) in itertools.combinations(named, 2):
        shared = sorted(set(ids_a) & set(ids_b))
        if shared:
            raise errors.DataError(
                f"data.{name_a}_ids and data.{name_b}_ids share {len(shared)} images "
                f"({', '.join(shared[:_NUM_SHOWN])}); an image may be in one of them"
            )


def deal(
    image_ids: Sequence[str],
    groups: Mapping[str, str],
    counts: Mapping[str, int],
    k: int,
    seed: int,
    *,
    by_image: bool = False,
) -> tuple[tuple[str, ...], ...]:
    """Deals images into `k` folds of about equal cell counts, groups kept whole.

    Groups are sorted by falling count and dealt in snake order (0 .. k-1, k-1 .. 0,
    0 ..); the seed decides between equal counts and which fold is called first. An
    image without group (all, `by_image`) is its own; a missing count is 0. `k` outside
    2 to the number of groups is a `ConfigError`.
    """
    members = _gather(image_ids, {} if by_image else groups)
    if not 2 <= k <= len(members):
        units = "images" if by_image else "groups"
        raise errors.ConfigError(
            f"data.num_folds is {k}, but there are {len(members)} {units} to deal; "
            + (f"give 2 to {len(members)} folds" if len(members) > 1 else "add images")
        )
    totals = {g: sum(counts.get(i, 0) for i in ids) for g, ids in members.items()}
    ranked = sorted(members, key=lambda g: (-totals[g], _shuffle_key(seed, g)))
    numbers = sorted(range(k), key=lambda n: _shuffle_key(seed, f"fold {n}"))
    folds: list[set[str]] = [set() for _ in range(k)]
    for place, group in enumerate(ranked):
        lap, step = divmod(place, k)
        folds[numbers[k - 1 - step if lap % 2 else step]].update(members[group])
    return tuple(tuple(i for i in image_ids if i in fold) for fold in folds)


def _gather(
    image_ids: Sequence[str], groups: Mapping[str, str]
) -> dict[str, list[str]]:
    """Images of each group; one without a group is alone in one of its own."""
    members: dict[str, list[str]] = {}
    for image_id in image_ids:
        group = groups.get(image_id)
        name = f"group {group}" if group else f"image {image_id}"
        members.setdefault(name, []).append(image_id)
    return members


def _shuffle_key(seed: int, name: str) -> bytes:
    """Sorts names in an order that is random but the same on every machine."""
    return hashlib.blake2b(f"{int(seed)}/{name}".encode(), digest_size=16).digest()


def describe(
    folds: Sequence[Sequence[str]], groups: Mapping[str, str], counts: Mapping[str, int]
) -> str:
    """One line a fold, for printing: images, groups, cells and ids.

    Example:
      >>> print(describe([("0", "1"), ("2",)], {"0": "p", "1": "p"}, {"0": 3, "2": 4}))
      fold 0: 2 images, 1 group, 3 cells: 0, 1
      fold 1: 1 image, 1 group, 4 cells: 2
    """
    lines = []
    for number, ids in enumerate(folds):
        num_groups = len(_gather(ids, groups))
        num_cells = sum(counts.get(i, 0) for i in ids)
        sizes = ((len(ids), "image"), (num_groups, "group"), (num_cells, "cell"))
        text = ", ".join(f"{n} {unit}{'' if n == 1 else 's'}" for n, unit in sizes)
        lines.append(f"fold {number}: {text}: {', '.join(ids)}")
    return "\n".join(lines)


def split_ids(source: Source, config: DataConfig, seed: int, count: Count) -> Chosen:
    """Chooses images by name, fold, the set's own splits, or at random.

    A set's own splits are the generator's counts, Pascal VOC's `ImageSets/Main/*.txt`,
    or folders (`train/`, `val/`, `test/`); they need images to train on and some to
    report on. What they leave out is not used. Errors name the key to change.
    """
    ids = source.image_ids
    named = (config.train_ids, config.val_ids, config.test_ids)
    if any(named):
        keys = ("data.train_ids", "data.val_ids", "data.test_ids")
        chosen = [
            select_ids(ids, spec, key=key) if spec else ()
            for spec, key in zip(named, keys, strict=True)
        ]
        return chosen, _shared(source, chosen)
    if config.num_folds:
        return _folds(source, config, seed, count)
    if config.root == "synthetic":
        first = config.synthetic_train
        second = first + config.synthetic_val
        return [ids[:first], ids[first:second], ids[second:]], ()
    own = own_splits(source, config)
    return _random(source, config, seed) if own is None else _own(source, config, *own)


def _shared(source: Source, chosen: Sequence[Ids]) -> tuple[str, ...]:
    """What to tell where several splits have tiles of one slide."""
    if source.format != SLIDES:
        return ()
    slides = [{source.groups[i] for i in ids} for ids in chosen]
    shared = [
        slide
        for slide in sorted(set[str]().union(*slides))
        if sum(slide in one for one in slides) > 1
    ]
    if not shared:
        return ()
    more = ", ..." if len(shared) > _NUM_SHOWN else ""
    return (
        "warning: several splits have tiles of "
        f"{', '.join(shared[:_NUM_SHOWN])}{more}: results on these say little of other "
        "slides",
    )


def own_splits(
    source: Source, config: DataConfig
) -> tuple[Mapping[str, Ids], str] | None:
    """The splits a set has of itself, and where it says so; None where it has none.

    "train", "val" and "test" -> ids; see `split_ids`.
    """
    for own, where in (
        (_by_list(source, config), "ImageSets/Main"),
        (_by_folder(source), "its folders"),
    ):
        if own["train"] and (own["val"] or own["test"]):
            return own, where
    return None


def _by_folder(source: Source) -> dict[str, Ids]:
    tops = {
        i: _SPLIT_FOLDERS.get(i.partition("/")[0].lower()) for i in source.image_ids
    }
    return {
        name: tuple(i for i, top in tops.items() if top == name)
        for name in ("train", "val", "test")
    }


def _by_list(source: Source, config: DataConfig) -> dict[str, Ids]:
    """Splits that a Pascal VOC set lists; trainval trains where train is not listed."""
    lists: dict[str, Ids] = {}
    if source.format == voc.NAME:
        lists = voc.image_sets(Path(config.root).expanduser())
    val, test = (frozenset(lists.get(name, ())) for name in ("val", "test"))
    train = frozenset(lists.get("train") or lists.get("trainval", ())) - val - test
    wanted = {"train": train, "val": val - test, "test": test}
    return {
        name: tuple(i for i in source.image_ids if i in chosen)
        for name, chosen in wanted.items()
    }


def _own(
    source: Source, config: DataConfig, own: Mapping[str, Ids], where: str
) -> Chosen:
    """The set's own splits, and what they leave out or lack."""
    notes = []
    num_left = len(source.image_ids) - sum(map(len, own.values()))
    if num_left:
        notes.append(
            f"{config.root}: {num_left} of {len(source.image_ids)} images are in no "
            f"split of {where} and are not used; --config.data.train_ids and the like "
            "choose others"
        )
    if not own["test"]:
        notes.append(
            f"{config.root}: {where} has no test split; results are of the validation "
            "images, which also choose the threshold"
        )
    return [own[name] for name in ("train", "val", "test")], tuple(notes)


def _folds(source: Source, config: DataConfig, seed: int, count: Count) -> Chosen:
    groups, counts, by_image = source.groups, count(), _by_image(source, config)
    k = config.num_folds
    folds = deal(source.image_ids, groups, counts, k, seed, by_image=by_image)
    test = folds[config.fold]
    rest = tuple(i for i in source.image_ids if i not in set(test))
    val: Ids = ()
    units = len(_gather(rest, {} if by_image else groups))
    if config.val_share and units > 1:
        k = min(units, max(2, round(1 / config.val_share)))
        val = deal(rest, groups, counts, k, seed, by_image=by_image)[0]
        rest = tuple(i for i in rest if i not in set(val))
    return [rest, val, test], (describe(folds, groups, counts),)


def _by_image(source: Source, config: DataConfig) -> bool:
    """Whether images of a group may be parted; never tiles of a slide."""
    return config.fold_by == "image" and source.format != SLIDES


def _random(source: Source, config: DataConfig, seed: int) -> Chosen:
    groups = {} if _by_image(source, config) else source.groups
    units = len(_gather(source.image_ids, groups))
    if units < 3:
        return [source.image_ids, (), ()], (
            f"{config.root}: {units} images or groups are too few to split; all train",
        )
    number = min(_AUTO_FOLDS, units)
    folds = deal(source.image_ids, groups, {}, number, seed)
    num_test = max(1, round(0.2 * number))
    val, test = folds[0], sum(folds[1 : 1 + num_test], ())
    train = sum(folds[1 + num_test :], ())
    if config.threshold_share:  # withheld labels choose the threshold
        val, train = (), (*val, *train)
    note = (
        "random split (ids in splits.json; --config.data.train_ids, val_ids and "
        "test_ids choose others)"
    )
    return [train, val, test], (note,)
