"""What a prepared (TFDS) set stores of a record, and the way there and back.

Pixels keep their own type and size, as `encodings` says; masks and regions are PNG, in
sequences of 0 or 1.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from cellrec_jax import errors
from cellrec_jax.data.builders import encodings
from cellrec_jax.data.builders.encodings import from_png, to_png
from cellrec_jax.data.readers import SLIDES
from cellrec_jax.data.record import Record, Source, blank

_SPLITS = ("train", "validation", "val", "test")
_MAX_CELLS = np.iinfo(np.uint16).max


def features_dict(class_names: Sequence[str] | None, encoding: str = "png") -> Any:
    """The `FeaturesDict` of every set; None if the builder names the classes later."""
    import tensorflow_datasets as tfds

    def optional_png(doc: str) -> Any:
        # Not `Image`: TFDS can skip decoding a sequence in TensorFlow, not in NumPy.
        return tfds.features.Sequence(tfds.features.Text(), doc=doc)

    names = None if class_names is None else list(class_names)
    return tfds.features.FeaturesDict(
        {
            **encodings.features_dict(encoding),
            "points_yx": tfds.features.Tensor(shape=(None, 2), dtype=np.float32),
            "labels": tfds.features.Sequence(tfds.features.ClassLabel(names=names)),
            "boxes_yxyx": tfds.features.Tensor(shape=(None, 4), dtype=np.float32),
            "masks": optional_png("uint16 PNG of instance ids"),
            "annotated": optional_png("uint8 PNG, 255 in the region"),
            "ignore": optional_png("uint8 PNG, 255 in the region"),
            "image_id": tfds.features.Text(),
            "group": tfds.features.Text(),
            "mpp": tfds.features.Scalar(dtype=np.float32),
        }
    )


def dataset_info(
    builder: Any,
    description: str,
    citation: str,
    class_names: Sequence[str] | None,
    encoding: str = "png",
) -> Any:
    """A builder's `DatasetInfo`. Images keep the folder's order, to be found by id."""
    import tensorflow_datasets as tfds

    return tfds.core.DatasetInfo(
        builder=builder,
        description=description,
        features=features_dict(class_names, encoding),
        citation=citation,
        disable_shuffling=True,
        metadata=tfds.core.MetadataDict(),
    )


def split_generators(
    builder: Any, source: Source, encoding: str = "png"
) -> dict[str, Any]:
    """Split -> `generate`; notes ids and groups in the builder's metadata.

    Splits are the folders train, validation (or val) and test if every image is in one
    of them; else all images are 'train'.
    """
    splits: dict[str, tuple[str, ...]] = {}
    tops = {image_id.partition("/")[0] for image_id in source.image_ids}
    nested = tops <= set(_SPLITS) and all("/" in i for i in source.image_ids)
    for name in (top for top in _SPLITS if top in tops) if nested else ("train",):
        prefix = f"{name}/" if nested else ""
        splits[name] = tuple(i for i in source.image_ids if i.startswith(prefix))
    builder.info.metadata["image_ids"] = splits
    builder.info.metadata["groups"] = dict(source.groups)
    return {name: generate(source, ids, encoding) for name, ids in splits.items()}


def generate(
    source: Source, image_ids: Sequence[str], encoding: str = "png"
) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yields (place, features) of the images of one split, as TFDS wants them."""
    for place, image_id in enumerate(image_ids):
        wanted = encoding == "jpeg" and source.format != SLIDES
        files = source.files(image_id) if source.files and wanted else ()
        originals = (file.read_bytes() for file in files)
        yield place, encode(source.load(image_id), encoding, originals)


def encode(
    record: Record, encoding: str = "png", originals: Iterable[bytes] = ()
) -> dict[str, Any]:
    """A record as features; its image may be one of the files `originals`.

    More instances than 16 bits number are a `DataError`, and so are pixels that the
    encoding cannot hold, and cells that nobody gave.
    """
    if record.trust is not None:
        raise errors.DataError(
            f"{record.image_id}: predictions are among its cells, which a prepared set "
            "cannot tell from given ones: train on the folder itself"
        )
    masks = record.masks
    if masks is not None and masks.max(initial=0) > _MAX_CELLS:
        raise errors.DataError(
            f"{record.image_id}: more than {_MAX_CELLS} instances in one mask: cut the "
            "image into tiles"
        )
    boxes_yxyx = record.boxes_yxyx
    return {
        **encodings.encode(record.image, encoding, record.image_id, originals),
        "points_yx": record.points_yx.astype(np.float32).reshape(-1, 2),
        "labels": record.labels.tolist(),
        "boxes_yxyx": np.zeros((0, 4), np.float32)
        if boxes_yxyx is None
        else boxes_yxyx,
        "masks": [] if masks is None else [to_png(masks.astype(np.uint16))],
        "annotated": _encode_region(record.annotated),
        "ignore": _encode_region(record.ignore),
        "image_id": record.image_id,
        "group": record.group,
        "mpp": np.float32(record.mpp or 0),
    }


def decode(
    features: Mapping[str, Any], encoding: str = "png", *, pixels: bool = True
) -> Record:
    """The record that `encode` was given, from NumPy features with `image` not decoded.

    Without `pixels` its image is `record.blank`, and the first bytes of a file are
    enough; boxes are None without cells.
    """
    masks = features["masks"]
    image = (
        encodings.decode(features, encoding)
        if pixels
        else blank(*encodings.shape_and_type(features))
    )
    # The shortest decimal that float32 tells apart: 0.2455, not 0.24549999833.
    mpp = float(str(np.float32(features["mpp"])))
    boxes_yxyx = np.asarray(features["boxes_yxyx"], np.float32).reshape(-1, 4)
    return Record(
        image_id=features["image_id"].decode(),
        image=image,
        points_yx=np.asarray(features["points_yx"], np.float32).reshape(-1, 2),
        labels=np.asarray(features["labels"], np.int32).reshape(-1),
        boxes_yxyx=boxes_yxyx if len(boxes_yxyx) else None,
        masks=from_png(masks[0])[..., 0].astype(np.int32) if len(masks) else None,
        annotated=_decode_region(features["annotated"]),
        ignore=_decode_region(features["ignore"]),
        group=features["group"].decode(),
        mpp=mpp or None,
    )


def _encode_region(region: np.ndarray | None) -> list[bytes]:
    return [] if region is None else [to_png(region.astype(np.uint8) * 255)]


def _decode_region(files: Sequence[bytes]) -> np.ndarray | None:
    return from_png(files[0])[..., 0] > 0 if len(files) else None
