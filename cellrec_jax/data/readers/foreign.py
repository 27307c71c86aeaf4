"""Annotation files of other programs, told by their names and first lines."""

from collections.abc import Iterator
import itertools
import re

from etils.epath import Path

from cellrec_jax.data.text import decode_head
from cellrec_jax.errors import DataError

_BOXES = "export it as COCO or Pascal VOC"
ADVICE: dict[str, str] = {
    "QuPath project": "export its annotations, File > Export objects as GeoJSON",
    "LabelMe": _BOXES,
    "VGG Image Annotator": _BOXES,
    "Cellpose": "it is a pickle; save its masks as PNG or TIFF, NAME_cp_masks.png",
}
"""Kind that is not read -> what to do, in half a sentence."""
READ_AS: dict[str, str] = {
    "GeoJSON": "qupath",
    "CVAT": "cvat",
    "Label Studio": "label_studio",
    "YOLO": "yolo",
    "ASAP": "asap",
    "Aperio ImageScope": "aperio",
    "ImageJ": "imagej",
    "OCELOT": "ocelot",
    "grand-challenge": "grand_challenge",
    "NDP.view": "slides",
}
"""Kind -> the name of the format that reads it."""

_WORDS = {
    "Aperio ImageScope": "aperio",
    "VGG Image Annotator": "via",
}
_ENDINGS = {
    ".qpproj": "QuPath project",
    ".ndpa": "NDP.view",
    ".roi": "ImageJ",
    ".annotations": "Aperio ImageScope",
    ".geojson": "GeoJSON",
    ".geojson.gz": "GeoJSON",
    "_seg.npy": "Cellpose",
}
_ROOT_TAGS = {
    "ASAP_Annotations": "ASAP",
    "Annotations": "Aperio ImageScope",
    "annotations": "CVAT",
    "CellCounter_Marker_File": "ImageJ",
}
_TAG = re.compile(r"<\s*(?:[\w.-]+:)?(\w[\w.-]*)")
_NOT_TAGS = re.compile(r"<\?.*?\?>|<!--.*?-->|<!DOCTYPE[^>\[]*(\[.*?\])?\s*>", re.S)
_JSON_SIGNS = (
    ("GeoJSON", re.compile(r'"type"\s*:\s*"Feature(Collection)?"')),
    ("OCELOT", re.compile(r'"name"\s*:\s*"image_\d+"')),
    (
        "grand-challenge",
        re.compile(
            r'"type"\s*:\s*"(Multiple (points|polygons|2D bounding boxes)|'
            r'2D bounding box)"|"points"\s*:\s*\[\s*\{[^}]*"point"\s*:\s*\['
        ),
    ),
    (
        "Label Studio",
        re.compile(r'"(from_name|completed_by|completions|lead_time)"\s*:'),
    ),
    ("LabelMe", re.compile(r'"shapes"\s*:\s*\[')),
    ("VGG Image Annotator", re.compile(r'"(_via_\w+|shape_attributes|regions)"\s*:')),
)
_YOLO_LINE = re.compile(r"\d+([ \t]+(0?\.\d+|[01](\.\d*)?)([eE]-?\d+)?){4,}\s*")
_LOOKED_INTO = (".xml", ".json", ".txt")
_HEAD_BYTES = 8192
_MAX_FILES = 5000
_MAX_LOOKED_INTO = 8  # of an ending


def kind_of(file: Path) -> str | None:
    """Which kind a file is, by its name and first 8 kB; None for none that is known."""
    name = file.name.lower()
    for ending, kind in _ENDINGS.items():
        if name.endswith(ending):
            return kind
    read = {".xml": _kind_of_xml, ".json": _kind_of_json, ".txt": _kind_of_text}
    ending = file.suffix.lower()
    if ending not in (*read, ".zip"):
        return None
    try:
        with file.open("rb") as stream:
            head = stream.read(_HEAD_BYTES)
    except OSError:
        return None
    if ending == ".zip":
        return _kind_of_zip(head)
    return read[ending](decode_head(head))


def find(root: Path) -> tuple[str, Path] | None:
    """The first file of a known kind at most three folders down, and the kind."""
    looked: dict[str, int] = {}
    try:
        for file in itertools.islice(_files(root), _MAX_FILES):
            ending = file.suffix.lower()
            looked[ending] = looked.get(ending, 0) + 1
            many = ending in _LOOKED_INTO and looked[ending] > _MAX_LOOKED_INTO
            if not many and (kind := kind_of(file)):
                return kind, file
    except OSError:
        return None
    return None


def refuse(file: Path) -> None:
    """`DataError` for a file of a known kind."""
    if kind := kind_of(file):
        raise DataError(describe(kind, file))


def describe(kind: str, file: Path) -> str:
    """What is wrong, and what to do."""
    if kind in READ_AS:
        return (
            f"{file} is of {kind}, which data.format={READ_AS[kind]} reads: put it and "
            "the images where that format has them (cellrec_jax/data/readers/README.md)"
        )
    return f"{file} is of {kind}, which is not read: {ADVICE[kind]}"


def named(word: str) -> str | None:
    """What to say of a kind called "geojson", "label-studio" and so on."""
    plain = re.sub(r"\W|_", "", word.lower())
    for kind in (*READ_AS, *ADVICE):
        name = _WORDS.get(kind, re.sub(r"\W", "", kind.lower()))
        if plain == name or (plain.startswith("yolo") and kind == "YOLO"):
            if kind in READ_AS:
                return f"{kind} is read as data.format={READ_AS[kind]}"
            return f"{kind} is not read: {ADVICE[kind]}"
    return None


def _files(root: Path) -> Iterator[Path]:
    for pattern in ("*", "*/*", "*/*/*"):
        yield from sorted(file for file in root.glob(pattern) if file.is_file())


def _kind_of_xml(head: str) -> str | None:
    tag = _TAG.search(_NOT_TAGS.sub("", head))
    return _ROOT_TAGS.get(tag[1]) if tag else None


def _kind_of_zip(head: bytes) -> str | None:
    """By the name of the first file in it."""
    name = head[30 : 30 + int.from_bytes(head[26:28], "little")]
    return "ImageJ" if head[:2] == b"PK" and name.endswith(b".roi") else None


def _kind_of_json(head: str) -> str | None:
    return next((kind for kind, sign in _JSON_SIGNS if sign.search(head)), None)


def _kind_of_text(head: str) -> str | None:
    lines = head.splitlines()[:3]
    return "YOLO" if lines and all(map(_YOLO_LINE.fullmatch, lines)) else None
