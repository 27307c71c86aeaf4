"""Which images train, validate and test, as a configuration asks for."""

from cellrec_jax.config import DataConfig
from cellrec_jax.data import splits
from cellrec_jax.data.record import Source

Ids = tuple[str, ...]

_AUTO_FOLDS = 10  # one validates, two test, the rest train
_SPLIT_FOLDERS = {"train": "train", "val": "val", "validation": "val", "test": "test"}


def split_ids(
    source: Source, config: DataConfig, seed: int
) -> tuple[list[Ids], tuple[str, ...]]:
    """Chooses images by name, fold, the generator's counts, folder, or at random.

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
    by_folder: dict[str, list[str]] = {"train": [], "val": [], "test": []}
    for image_id in ids:
        folder = _SPLIT_FOLDERS.get(image_id.split("/", 1)[0])
        if folder:
            by_folder[folder].append(image_id)
    if by_folder["train"] and by_folder["test"]:
        return [tuple(by_folder[name]) for name in ("train", "val", "test")], ()
    return _random(source, config, seed)


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
