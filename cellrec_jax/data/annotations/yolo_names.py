"""Names of YOLO's classes: `data.yaml`, `classes.txt` or `obj.names`.

Of YAML only `names` (a list, or numbers with names) and whether there is `kpt_shape`
are looked at.
"""

from collections.abc import Iterable, Iterator
import re
from typing import NamedTuple

from etils.epath import Path

from cellrec_jax.data.annotations.content import class_name
from cellrec_jax.data.text import read_text
from cellrec_jax.errors import DataError

_ITEM = re.compile(
    r"""\s*(?:(\d+)\s*:\s*)?("(?:[^"\\]|\\.)*"|'(?:[^']|'')*'|[^,"'\]\}]+)\s*(?:,|$)"""
)
_COMMENT = re.compile(r"""("(?:[^"\\]|\\.)*"|'[^']*')|(?:^|\s)#.*""")
"""Or a name in quotes, which may hold such a sign."""


class Names(NamedTuple):
    """What a file says of the classes of a set."""

    names: tuple[str, ...]
    has_key_points: bool = False


def read(file: Path) -> Names:
    """Names by class number, from 0 on; a `DataError` where there are none."""
    lines = read_text(file).split("\n")
    if file.suffix.lower() not in (".yaml", ".yml"):
        return Names(tuple(_checked(file, (line for line in lines if line.strip()))))
    lines = [_COMMENT.sub(r"\1", line).rstrip() for line in lines]
    items = dict(_yaml_items(lines, file))
    if sorted(items) != list(range(len(items))):
        raise DataError(f"{file}: names of classes are not numbered from 0 on")
    has_key_points = any(line.startswith("kpt_shape:") for line in lines)
    names = _checked(file, (items[number] for number in sorted(items)))
    return Names(tuple(names), has_key_points)


def is_of_yolo(file: Path) -> bool:
    """Whether a YAML file has a key `names`."""
    try:
        return any(line.startswith("names:") for line in read_text(file).split("\n"))
    except DataError:
        return False


def _yaml_items(lines: list[str], file: Path) -> Iterator[tuple[int, str]]:
    """Number and name of each class."""
    start = next((i for i, line in enumerate(lines) if line.startswith("names:")), None)
    if start is None:
        raise DataError(f"{file}: no line 'names:' with the classes")
    text = lines[start].removeprefix("names:").strip()
    block = _block(lines[start + 1 :])
    if text:
        text = " ".join((text, *block))
        inner = re.match(r"[\[{](.*)[\]}]", text)
        if not inner:
            raise DataError(f"{file}: 'names: {text[:40]}' is no list of classes")
        items = _ITEM.finditer(inner[1])
        found = [(match[1], match[2]) for match in items if match[2].strip()]
    else:
        pairs = (re.match(r"\s*(?:-\s*|(\d+)\s*:\s*)(.+)", line) for line in block)
        found = [(match[1], match[2]) for match in pairs if match]
    if len(found) < len(block) and not text:
        raise DataError(f"{file}: write the classes below 'names:' as '- name'")
    for index, (number, name) in enumerate(found):
        yield (index if number is None else int(number)), _unquoted(name)


def _block(lines: list[str]) -> list[str]:
    """Lines that belong to the key above: indented, of a list, or closing one."""
    found = []
    for line in lines:
        if line and not line[0].isspace() and line[0] not in "-]}":
            break
        if line.strip():
            found.append(line)
    return found


def _unquoted(text: str) -> str:
    text = text.strip()
    if len(text) > 1 and text[0] == text[-1] == "'":
        return text[1:-1].replace("''", "'")
    if len(text) > 1 and text[0] == text[-1] == '"':
        return re.sub(r"\\(.)", r"\1", text[1:-1])
    return text


def _checked(file: Path, names: Iterable[str]) -> list[str]:
    found = [class_name(name, str(file)) for name in names]
    if not found or "" in found or len(set(found)) < len(found):
        raise DataError(f"{file}: names no class, or one without a name or twice")
    return found
