"""Names of images that Roboflow exports: `NAME_jpg.rf.HASH.jpg`, copies included."""

from collections.abc import Iterable
import re

_NAME = re.compile(r"(?:.*/)?([^/]+)\.rf\.[0-9A-Za-z]+")


def groups(image_ids: Iterable[str]) -> dict[str, str]:
    """Image id -> the image it was made from: its augmented copies belong together.

    Example:
      >>> groups(["train/a_jpg.rf.12ab", "b"])
      {'train/a_jpg.rf.12ab': 'a_jpg'}
    """
    found = ((image_id, _NAME.fullmatch(image_id)) for image_id in image_ids)
    return {image_id: match[1] for image_id, match in found if match}
