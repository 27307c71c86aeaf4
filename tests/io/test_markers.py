"""Text between markers: replaced, with all the rest as it was."""

import pytest

from cellrec_jax import errors
from cellrec_jax.io import markers


def test_replaces_what_stands_between(tmp_path):
    """Twice, with other markers beside; the line breaks of the rest stay."""
    path = tmp_path / "README.md"
    path.write_bytes("ä\r\n<!-- a --><!-- /a -->\n<!-- ab -->1<!-- /ab -->".encode())
    for text in ("old", "new\nlines"):
        markers.require(path, "a")
        markers.replace(path, "a", text)
    expected = "ä\r\n<!-- a -->\nnew\nlines\n<!-- /a -->\n<!-- ab -->1<!-- /ab -->"
    assert path.read_bytes().decode() == expected


@pytest.mark.parametrize(
    "content",
    [
        "<!-- a -->",
        "<!-- /a --><!-- a -->",
        "<!-- a --><!-- /a --><!-- /a -->",
    ],
)
@pytest.mark.parametrize("change", [markers.require, markers.replace])
def test_needs_both_markers_once_in_order(tmp_path, content, change):
    path = tmp_path / "README.md"
    path.write_text(content)
    words = ("a", "new") if change is markers.replace else ("a",)
    message = f"{path}: needs one line <!-- a --> and, after it, one line <!-- /a -->"
    with pytest.raises(errors.ConfigError, match=message):
        change(path, *words)
    assert path.read_text() == content


@pytest.mark.parametrize("content", [None, b"\xff\xfe"], ids=["missing", "not UTF-8"])
def test_a_file_that_cannot_be_read(tmp_path, content):
    path = tmp_path / "README.md"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(errors.ConfigError, match=f"cannot read {path}"):
        markers.require(path, "a")
