"""Reads sets that the TFDS builders of `data.builders` have prepared.

Image by image, from TFRecord files, of which TensorFlow reads training pixels by itself
(`data.shard_batches`), or from ArrayRecord files.
"""

from collections.abc import Callable, Mapping
import functools
import os
import re
from typing import Any

from cellrec_jax import errors
from cellrec_jax.data import shards
from cellrec_jax.data.builders import encodings, features
from cellrec_jax.data.pipeline import import_tensorflow
from cellrec_jax.data.pixels.files import natural_key
from cellrec_jax.data.record import Record, Source

NAME = "prepared"
_INFO_FILE = "dataset_info.json"
_VERSION = re.compile(r"\d+\.\d+\.\d+")
_FEATURES = frozenset(
    ("image", "points_yx", "labels", "boxes_yxyx", "masks", "annotated", "ignore")
) | frozenset(("image_id", "group", "mpp"))
_Read = Callable[[str, bool], Mapping[str, Any]]
"""(image id, whether with pixels) -> features; without, a few bytes of the image."""
_HEAD_BYTES = 64  # of an image's file, where pixels are not wanted


def is_prepared(path_or_name: str, data_dir: str | None = None) -> bool:
    """Whether `open_prepared` would find a set, by names of files only."""
    return _find(path_or_name, data_dir) is not None


def open_prepared(
    path_or_name: str, split: str = "all", data_dir: str | None = None
) -> Source:
    """Opens a set of a builder of `data.builders`; a DataError if there is none.

    Args:
      path_or_name: folder of a version (`.../bcdata/1.0.0`), perhaps in a cloud; or the
        folder above, for the newest; or a name in `data_dir` ("bcdata").
      split: "all", or "train", "train+validation" ...; ids then start with it.
      data_dir: by default the variable TFDS_DATA_DIR, or ~/tensorflow_datasets.
    """
    folder = _find(path_or_name, data_dir)
    if folder is None:
        raise errors.DataError(
            f"no prepared set in {path_or_name}: give the folder of its {_INFO_FILE}"
        )
    builder = _open_builder(folder)
    metadata = builder.info.metadata
    splits = _choose_splits(folder, metadata["image_ids"], split)
    image_ids = sorted((i for ids in splits.values() for i in ids), key=natural_key)
    groups = {i: g for i, g in metadata["groups"].items() if i in set(image_ids)}
    encoding = encodings.encoding_of(builder.info.features)
    read, stored = _reader(builder, folder, splits, encoding)

    def load(image_id: str, *, pixels: bool = True) -> Record:
        try:
            record = features.decode(read(image_id, pixels), encoding, pixels=pixels)
        except Exception as error:  # each file format has its own
            reason = " ".join(str(error).split()) or type(error).__name__
            raise errors.DataError(
                f"cannot read image {image_id!r} of {folder}: {reason}; build it again"
            ) from error
        if record.image_id != image_id:
            raise errors.DataError(
                f"{folder}: {record.image_id!r} is in the place of {image_id!r}; build "
                "it again"
            )
        return record

    names = tuple(builder.info.features["labels"].feature.names)
    annotations = functools.partial(load, pixels=False)
    return Source(
        NAME,
        names,
        tuple(image_ids),
        load,
        groups=groups,
        annotations=annotations,
        shards=stored,
    )


def _find(path_or_name: str, data_dir: str | None) -> Any:
    """The folder of the set's newest version, an `epath.Path`, or None."""
    from etils import epath

    root = data_dir or os.environ.get("TFDS_DATA_DIR") or "~/tensorflow_datasets"
    for base in (epath.Path(path_or_name), epath.Path(root) / path_or_name):
        base = base.expanduser()
        if (base / _INFO_FILE).exists():
            return base
        versions = [
            child
            for child in (base.iterdir() if base.is_dir() else ())
            if _VERSION.fullmatch(child.name) and (child / _INFO_FILE).exists()
        ]
        if versions:
            return max(versions, key=lambda child: natural_key(child.name))
    return None


def _open_builder(folder: Any) -> Any:
    """Opens a set and checks that it is one of ours."""
    try:
        import_tensorflow()
        import tensorflow_datasets as tfds
    except ImportError as error:
        raise errors.DataError(
            f"{folder} is a prepared set: pip install tensorflow-datasets to read it"
        ) from error
    try:
        builder = tfds.builder_from_directory(folder)
        known = set(builder.info.features)
        names = builder.info.metadata.keys() | builder.info.splits.keys()
    except Exception as error:  # json, protobuf, key and value errors
        reason = " ".join(str(error).split()) or type(error).__name__
        raise errors.DataError(
            f"{folder} cannot be read as a prepared set: {reason}; build it again"
        ) from error
    if not (known >= _FEATURES and names >= {"image_ids", "groups"}):
        raise errors.DataError(
            f"{folder} was not prepared by cellrec-jax: build it with `tfds build "
            "cellrec_jax/data/builders/annotated_folder.py`"
        )
    return builder


def _choose_splits(
    folder: Any, splits: Mapping[str, list[str]], wanted: str
) -> dict[str, list[str]]:
    """The image ids of the wanted splits."""
    names = list(splits) if wanted == "all" else wanted.split("+")
    for name in names:
        if name not in splits:
            raise errors.DataError(
                f"{folder} has no split {name!r}: give all or {'+'.join(splits)}"
            )
    return {name: splits[name] for name in names}


def _reader(
    builder: Any, folder: Any, splits: Mapping[str, list[str]], encoding: str
) -> tuple[_Read, shards.Shards | None]:
    """How the features of an image are read, and where TFRecord files hold it.

    Images are stored in the order of their ids: see `features.dataset_info`.
    """
    import tensorflow_datasets as tfds

    file_format, formats = builder.info.file_format, tfds.core.FileFormat
    decoders = {"image": tfds.decode.SkipDecoding()} if encoding != "raw" else None
    if file_format == formats.ARRAY_RECORD:
        sources: dict[str, tuple[Any, int]] = {}
        for name, image_ids in splits.items():
            stored = builder.as_data_source(name, decoders=decoders)
            sources |= {image_id: (stored, i) for i, image_id in enumerate(image_ids)}

        def read_array(image_id: str, _: bool) -> Mapping[str, Any]:
            stored, place = sources[image_id]
            return stored[place]

        return read_array, None
    if file_format != formats.TFRECORD:
        raise errors.DataError(
            f"{folder} is of {file_format.value} files, which are not read: build it "
            "again as tfrecord or array_record"
        )
    places: dict[str, shards.Place] = {}
    for name, image_ids in splits.items():
        files = [os.fspath(file) for file in builder.info.splits[name].filepaths]
        found = [place for file in files for place in shards.places_in(file)]
        if len(found) != len(image_ids):
            raise errors.DataError(
                f"{folder} holds {len(found)} records of {name} for "
                f"{len(image_ids)} images: build it again"
            )
        places |= dict(zip(image_ids, found, strict=True))

    def read(image_id: str, pixels: bool) -> Mapping[str, Any]:
        place = places[image_id]
        record = (
            shards.read(place)
            if pixels
            else shards.read_without(place, "image", _HEAD_BYTES)
        )
        return builder.info.features.deserialize_example_np(record, decoders=decoders)

    return read, shards.Shards(places, encoding, str(folder))
