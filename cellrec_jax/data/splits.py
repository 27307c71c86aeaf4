"""Which images train, validate and test: chosen by the user, or dealt into folds."""

from collections.abc import Mapping, Sequence
import fnmatch
import hashlib
import itertools
import re

from cellrec_jax import errors

_RANGE = re.compile(r"(\d+)-(\d+)")
_WILDCARDS = frozenset("*?[")
_NUM_SHOWN = 3  # ids named in a message


def select_ids(
    image_ids: Sequence[str], spec: str, *, key: str = "data.train_ids"
) -> tuple[str, ...]:
    """Image ids that a specification names.

    Args:
      image_ids: all ids of the set.
      spec: comma-separated ids ("train/3"), ranges of whole-number ids, both ends
        included ("0-15"), or globs ("train/*"). An id that exists is taken as it is
        even if it looks like a range or a glob.
      key: configuration key that `spec` came from, for the message.

    Returns:
      The named ids in the set's order, each once.

    Raises:
      errors.DataError: if a part of `spec` names no image.

    Example:
      >>> select_ids(("0", "1", "2", "a/b"), "1-2, a/*")
      ('1', '2', 'a/b')
    """
    known = frozenset(image_ids)
    chosen: set[str] = set()
    for part in (part.strip() for part in spec.split(",")):
        if not part:
            continue
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


def check_disjoint(
    train: Sequence[str], val: Sequence[str], test: Sequence[str]
) -> None:
    """Checks that no image is in two splits.

    Args:
      train: ids to train on.
      val: ids that choose thresholds and the best checkpoint.
      test: ids that results are reported for.

    Raises:
      errors.DataError: if two of them share an image.
    """
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
    0 ..); the seed decides between equal counts and which fold is called first.

    Args:
      image_ids: ids to deal.
      groups: image_id -> slide or patient; an image without one is its own group.
      counts: image_id -> annotated cells; 0 where missing.
      k: number of folds, at least 2.
      seed: decides ties and the folds' numbering.
      by_image: deal images one by one, whatever their groups.

    Returns:
      `k` non-empty tuples of ids, each in the order of `image_ids`.

    Raises:
      errors.ConfigError: if there are fewer than `k` groups, or `k` is below 2.
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
    folds: Sequence[Sequence[str]],
    groups: Mapping[str, str],
    counts: Mapping[str, int],
) -> str:
    """One line a fold, for printing: images, groups, cells and ids.

    Args:
      folds: as `deal` gives them.
      groups: image_id -> slide or patient.
      counts: image_id -> annotated cells.

    Returns:
      Lines joined by newlines.

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
