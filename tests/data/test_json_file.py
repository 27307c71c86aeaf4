"""JSON as other programs write it, and the line of what is broken."""

import gzip
from pathlib import Path

import pytest

from cellrec_jax.data import json_file
from cellrec_jax.errors import DataError

TEXT = '{"a": 1, "b": "\u00e9", "a": 2}'


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le"])
@pytest.mark.parametrize("ending", [".json", ".geojson.gz"])
def test_marks_encodings_and_gzip(encoding: str, ending: str, tmp_path: Path) -> None:
    data = TEXT.encode(encoding)
    file = tmp_path / f"x{ending}"
    file.write_bytes(gzip.compress(data) if ending.endswith("gz") else data)
    assert json_file.read_json(file) == {"a": 2, "b": "\u00e9"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"a":\n 1,]', "broken JSON at line 2, column"),
        ('{"a": NaN}', "broken JSON at line 1"),
        ("", "broken JSON"),
        ("[" * 5000, "broken JSON"),
    ],
)
def test_broken_files(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text(text)
    with pytest.raises(DataError, match=rf"x\.json: {message}"):
        json_file.read_json(tmp_path / "x.json")
    with pytest.raises(DataError, match=r"y\.json: not readable"):
        json_file.read_json(tmp_path / "y.json")


def test_what_unpacks_to_too_much(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(json_file, "_MOST_BYTES", 100)
    file = tmp_path / "x.json.gz"
    file.write_bytes(gzip.compress(b"[" + b" " * 98 + b"]"))
    assert json_file.read_json(file) == []
    file.write_bytes(gzip.compress(b"[" + b" " * 99 + b"]"))
    with pytest.raises(DataError, match="when unpacked"):
        json_file.read_json(file)
