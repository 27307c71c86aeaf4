"""Which images train, validate and test, as a configuration asks for."""

from collections.abc import Mapping
from pathlib import Path

from cellrec_jax.config import DataConfig
from cellrec_jax.data import splits
from cellrec_jax.data.readers import voc
from cellrec_jax.data.record import Source

Ids = tuple[str, ...]

_AUTO_FOLDS = 10  # one validates, two test, the rest train
_SPLIT_FOLDERS = {"train": "train", "val": "val", "validation": "val", "test": "test"}


def split_ids(
    source: Source, config: DataConfig, seed: int
) -> tuple[list[Ids], tuple[str, ...]]:
    """Chooses images by name, fold, the set's own splits, or at random.

    A set's own splits are the generator's counts, the lists of a Pascal VOC set
    (`ImageSets/Main/*.txt`), or its folders (`train/`, `val/`, `test/`); they need
    images to train on and some to report on. What they leave out is not used.

    Args:
      source: all images.
      config: see `DataConfig`.
      seed: of folds and random splits.

    Returns:
      The ids to train, validate and test on, and what the user should know.

    Raises:
      DataError, ConfigError: naming the key to change.
    """
    ids = source.image_ids
    named = (config.train_ids, config.val_ids, config.test_ids)
    if any(named):
        keys = ("data.train_ids", "data.val_ids", "data.test_ids")
        return [
            splits.select_ids(ids, spec, key=key) if spec else ()
            for spec, key in zip(named, keys, strict=True)
        ], ()
    if config.num_folds:
        return _folds(source, config, seed)
    if config.root == "synthetic":
        first, second = (
            config.synthetic_train,
            config.synthetic_train + config.synthetic_val,
        )
        return [ids[:first], ids[first:second], ids[second:]], ()
    for own, where in (
        (_by_list(source, config), "ImageSets/Main"),
        (_by_folder(source), "its folders"),
    ):
        if own["train"] and (own["val"] or own["test"]):
            return _own(source, config, own, where)
    return _random(source, config, seed)


def _by_folder(source: Source) -> dict[str, Ids]:
    found: dict[str, Ids] = {"train": (), "val": (), "test": ()}
    for image_id in source.image_ids:
        name = _SPLIT_FOLDERS.get(image_id.split("/", 1)[0])
        if name:
            found[name] += (image_id,)
    return found


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
) -> tuple[list[Ids], tuple[str, ...]]:
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


def _folds(
    source: Source, config: DataConfig, seed: int
) -> tuple[list[Ids], tuple[str, ...]]:
    by_image = config.fold_by == "image"
    counts = {i: len(source.load(i).points_yx) for i in source.image_ids}
    folds = splits.deal(
        source.image_ids,
        source.groups,
        counts,
        config.num_folds,
        seed,
        by_image=by_image,
    )
    test = folds[config.fold]
    rest = tuple(i for i in source.image_ids if i not in set(test))
    val: Ids = ()
    units = _num_units(rest, source, by_image)
    if config.val_share and units > 1:
        parts = min(units, max(2, round(1 / config.val_share)))
        inner = splits.deal(rest, source.groups, counts, parts, seed, by_image=by_image)
        val = inner[0]
        rest = tuple(i for i in rest if i not in set(val))
    note = splits.describe(folds, source.groups, counts)
    return [rest, val, test], (note,)


def _random(
    source: Source, config: DataConfig, seed: int
) -> tuple[list[Ids], tuple[str, ...]]:
    by_image = config.fold_by == "image"
    units = _num_units(source.image_ids, source, by_image)
    if units < 3:
        return [source.image_ids, (), ()], (
            f"{config.root}: {units} images or groups are too few to split; all train",
        )
    number = min(_AUTO_FOLDS, units)
    folds = splits.deal(
        source.image_ids, source.groups, {}, number, seed, by_image=by_image
    )
    num_test = max(1, round(0.2 * number))
    val, test = folds[0], sum(folds[1 : 1 + num_test], ())
    train = sum(folds[1 + num_test :], ())
    note = (
        "random split (ids in splits.json; --config.data.train_ids, val_ids and "
        "test_ids choose others)"
    )
    return [train, val, test], (note,)


def _num_units(image_ids: Ids, source: Source, by_image: bool) -> int:
    """Images or groups that may be told apart; an image without group is its own."""
    if by_image:
        return len(image_ids)
    return len({source.groups.get(i) or ("image", i) for i in image_ids})
