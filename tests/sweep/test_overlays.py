"""Overlays side by side: the image that most rows have, a panel for each."""

import numpy as np
from PIL import Image

from cellrec_jax.sweep import overlays


def _write(folder, names, value):
    (folder / "figures").mkdir(parents=True)
    for name in names:
        image = np.full((20, 30, 3), value, np.uint8)
        Image.fromarray(image).save(folder / "figures" / f"overlay_{name}.png")
    return folder


def test_the_image_that_most_rows_have(tmp_path):
    workdirs = {
        "ours": _write(tmp_path / "a", ("1", "2"), 0),
        "other": _write(tmp_path / "b", ("2", "3"), 0),
        "none": tmp_path / "c",
    }
    name, found = overlays.find(workdirs)
    assert name == "overlay_2.png"
    assert list(found) == ["ours", "other"]
    assert overlays.find({"none": tmp_path / "c"}) == ("", {})


def test_every_row_is_a_panel(tmp_path):
    """Grey panels of four rows: each of their greys is in the figure."""
    greys = (40, 90, 140, 190)
    workdirs = {
        f"row {grey}": _write(tmp_path / str(grey), ("1",), grey) for grey in greys
    }
    _, found = overlays.find(workdirs)
    overlays.draw(tmp_path / "all.png", found)
    drawn = np.asarray(Image.open(tmp_path / "all.png").convert("RGB"))
    for grey in greys:
        assert (drawn == grey).all(axis=-1).sum() > 1000


def test_the_published_copy_is_small(tmp_path):
    """1620 x 300 px of noise become 1080 x 200 px of 256 colours."""
    noise = np.random.default_rng(0).integers(0, 256, (300, 1620, 3), np.uint8)
    Image.fromarray(noise).save(tmp_path / "all.png")
    overlays.publish(tmp_path / "results" / "copy.png", tmp_path / "all.png")
    with Image.open(tmp_path / "results" / "copy.png") as copy:
        assert (copy.size, copy.mode) == ((1080, 200), "P")


def test_a_narrow_figure_keeps_its_size_when_published(tmp_path):
    Image.new("RGB", (540, 1000), (10, 20, 30)).save(tmp_path / "all.png")
    overlays.publish(tmp_path / "copy.png", tmp_path / "all.png")
    with Image.open(tmp_path / "copy.png") as copy:
        assert copy.size == (540, 1000)
        assert copy.convert("RGB").getpixel((0, 0)) == (10, 20, 30)
