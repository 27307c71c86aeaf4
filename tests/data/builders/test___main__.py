"""The command that prepares a folder."""

import io
from pathlib import Path

import numpy as np
from PIL import Image
import pytest

from cellrec_jax.data import readers
from cellrec_jax.data.builders import __main__ as command
from cellrec_jax.data.readers import prepared

pytest.importorskip("tensorflow_datasets")


@pytest.fixture
def folder(tmp_path) -> Path:
    """Two JPEG images of 16 x 24 px with a cell each; the second is stored turned."""
    root = tmp_path / "in"
    (root / "images").mkdir(parents=True)
    (root / "labels").mkdir()
    rows, columns = np.mgrid[:16, :24]
    for number in range(2):
        pixels = np.stack([rows * 9, columns * 7, rows + columns], 2).astype(np.uint8)
        exif = Image.Exif()
        if number:
            exif[0x0112] = 3
        Image.fromarray(pixels).save(root / "images" / f"{number}.jpg", exif=exif)
        (root / "labels" / f"{number}.csv").write_text("x,y,class\n3,4,a\n")
    return root


@pytest.mark.parametrize("encoding", ["png", "jpeg", "raw"])
def test_prepares_a_folder(folder, tmp_path, capsys, encoding):
    out = str(tmp_path / "out")
    arguments = [str(folder), out, "--format", "csv_points", "--encoding", encoding]
    assert command.main(arguments) == 0
    place = capsys.readouterr().out.strip().rpartition("=")[2]
    source, wanted = prepared.open_prepared(place), readers.open_source(folder)
    assert source.shards.encoding == encoding
    for number in ("0", "1"):
        pixels, expected = source.load(number).image, wanted.load(number).image
        far = np.abs(pixels.astype(int) - expected).max()
        # The turned one is encoded anew.
        assert far == 0 or (encoding == "jpeg" and number == "1" and far < 20)
        np.testing.assert_array_equal(source.load(number).points_yx, [[4.5, 3.5]])


def test_an_error_is_one_line(folder, tmp_path, capsys):
    stream = io.BytesIO()
    Image.fromarray(np.full((16, 24), 40_000, np.uint16)).save(stream, "PNG")
    (folder / "images" / "0.jpg").write_bytes(stream.getvalue())
    arguments = [str(folder), str(tmp_path / "out"), "--encoding", "jpeg"]
    assert command.main(arguments) == 2
    (line,) = (
        line for line in capsys.readouterr().err.splitlines() if "error:" in line
    )
    assert line.startswith("error: 0: JPEG holds 8-bit RGB")


def test_a_set_of_another_folder_is_refused(folder, tmp_path, capsys):
    out = str(tmp_path / "out")
    assert command.main([str(folder), out]) == 0
    assert command.main([str(folder), out]) == 0
    assert "is kept as it was" in capsys.readouterr().err
    other = folder.rename(tmp_path / "other")
    assert command.main([str(other), out]) == 2
    assert f"is of {folder}, not of {other}" in capsys.readouterr().err
