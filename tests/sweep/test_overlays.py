"""Overlays side by side: the image that most rows have, a panel for each."""

import numpy as np
from PIL import Image

from cellrec_jax.sweep import overlays, parse, plan, state


def _leave(tmp_path, run, images, value=0):
    """The job of a run that drew some images in one grey."""
    job = state.Job(run, tmp_path / run.name, {})
    (job.workdir / "figures").mkdir(parents=True)
    for name in images:
        image = np.full((20, 30, 3), value, np.uint8)
        Image.fromarray(image).save(job.workdir / "figures" / f"overlay_{name}.png")
    return job


def test_the_image_that_most_rows_have_of_each_rows_first_run(sweep_file, tmp_path):
    """In the order of the file, though the first row is the last that was done."""
    sweep = parse.read(sweep_file)
    runs = {run.name: run for run in plan.expand(sweep, {})}
    done = [
        _leave(tmp_path, runs["bde/seed0"], ("2", "3")),
        _leave(tmp_path, runs["plain/kept=1.0/seed1"], ("1", "2")),
        _leave(tmp_path, runs["bde/seed1"], ("1",)),
    ]
    assert list(overlays.find(sweep, done).items()) == [
        ("plain", tmp_path / "plain/kept=1.0/seed1/figures/overlay_2.png"),
        ("BDE", tmp_path / "bde/seed0/figures/overlay_2.png"),
    ]
    none = _leave(tmp_path, runs["plain/kept=0.1/seed0"], ())
    assert list(overlays.find(sweep, [none, done[2]])) == ["BDE"]
    assert overlays.find(sweep, [none]) == {}


def test_every_row_is_a_panel(tmp_path):
    """Grey panels of four rows: each of their greys is in the figure."""
    greys = (40, 90, 140, 190)
    found = {}
    for grey in greys:
        run = plan.Run(f"row{grey}", "c", {}, 0, None, {})
        workdir = _leave(tmp_path, run, ("1",), grey).workdir
        found[run.row] = workdir / "figures" / "overlay_1.png"
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
