from pathlib import Path

import pytest

from cellrec_jax.data.xml_tree import read_xml
from cellrec_jax.errors import DataError


@pytest.mark.parametrize(
    ("declared", "written", "text"),
    [
        ("", "utf-8", "gr\u00f6\u00dfe"),
        ("", "utf-8-sig", "gr\u00f6\u00dfe"),
        ("", "utf-16", "gr\u00f6\u00dfe"),
        ("", "utf-16-le", "gr\u00f6\u00dfe"),
        ("latin-1", "latin-1", "gr\u00f6\u00dfe"),
        ("windows-1252", "cp1252", "gr\u00f6\u00dfe"),
        ("gb18030", "gb18030", "\u7ec6\u80de"),
        ("Shift_JIS", "shift_jis", "\u7d30\u80de"),
        ("utf-16", "utf-8", "gr\u00f6\u00dfe"),  # as .NET writes strings
        ("utf-16", "utf-16", "gr\u00f6\u00dfe"),
        ("nonsense", "utf-8", "gr\u00f6\u00dfe"),
        ("zip", "utf-8", "gr\u00f6\u00dfe"),
    ],
)
def test_encodings(declared: str, written: str, text: str, tmp_path: Path) -> None:
    head = f'<?xml version="1.0" encoding="{declared}"?>\n' if declared else ""
    file = tmp_path / "a.xml"
    file.write_bytes(f"{head}<a xmlns='u'><b>{text}</b></a>".encode(written))
    root = read_xml(file)
    assert root.tag == "a"
    assert root.findtext("b") == text


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"<a>",
        b"<?xml version='1.0' encoding='utf-8'?><a>\xf6</a>",
        b"<?xml version='1.0' encoding='big5'?><a>\xff\xff</a>",
        b"\xff\xfe<",
    ],
)
def test_files_that_are_no_xml(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.xml").write_bytes(data)
    with pytest.raises(DataError, match=r"a\.xml") as error:
        read_xml(tmp_path / "a.xml")
    assert "\n" not in str(error.value)
