from pathlib import Path

import pytest

from cellrec_jax.data.text import composed, decode_head, read_text
from cellrec_jax.errors import DataError

TEXT = "x,y\n1,2,gr\u00f6\u00dfe\n"


@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"]
)
def test_encodings(encoding: str, tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(TEXT.replace("\n", "\r\n").encode(encoding))
    assert read_text(path) == TEXT
    assert decode_head(path.read_bytes()[:9]).startswith("x")


def test_letters_are_composed(tmp_path: Path) -> None:
    assert composed("gro\u0308\u00dfe") == "gr\u00f6\u00dfe"
    (tmp_path / "a.csv").write_text("o\u0308", encoding="utf-8")
    assert read_text(tmp_path / "a.csv") == "\u00f6"


def test_text_that_is_not_utf8(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match="UTF-8"):
        read_text(tmp_path / "a.csv")
    with pytest.raises(DataError, match="cannot read"):
        read_text(tmp_path / "b.csv")
