"""Images that CVAT lists: found below the root, and nowhere else."""

from pathlib import Path

from PIL import Image
import pytest

from cellrec_jax.data.readers import listed, open_source
from cellrec_jax.errors import DataError


def _write(root: Path, *names: str, place: str = "annotations.xml") -> None:
    file = root / place
    file.parent.mkdir(parents=True, exist_ok=True)
    images = "".join(
        f'<image name="{name}" width="40" height="30">'
        f'<points label="T" points="{i}.25,3"/></image>'
        for i, name in enumerate(names)
    )
    file.write_text(f"<annotations>{images}</annotations>")


def _image(root: Path, name: str, size: tuple[int, int] = (40, 30)) -> None:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size).save(path)


@pytest.mark.parametrize("place", ["annotations.xml", "annotations/task_1.xml"])
@pytest.mark.parametrize("folder", ["images/set", "set", "images", "."])
def test_images_are_found_by_name(folder: str, place: str, tmp_path: Path) -> None:
    _image(tmp_path, f"{folder}/a.png")
    _image(tmp_path, f"{folder}/other.png")
    _write(tmp_path, "set/a.png", place=place)
    source = open_source(tmp_path)
    assert (source.format, source.image_ids) == ("cvat", ("set/a",))
    assert source.load("set/a").points_yx.tolist() == [[3, 0.25]]
    assert source.class_names == ("T",)
    assert source.repairs == {listed.UNLISTED: 1}


@pytest.mark.parametrize(
    "name", ["../a.png", "/etc/a.png", "a\\..\\..\\b.png", "..", ""]
)
def test_names_that_lead_out_are_refused(name: str, tmp_path: Path) -> None:
    _image(tmp_path, "images/a.png")
    _write(tmp_path, name)
    with pytest.raises(DataError, match="name"):
        open_source(tmp_path)


def test_images_that_are_missing_or_others(tmp_path: Path) -> None:
    _image(tmp_path, "images/a.png")
    _write(tmp_path, "a.png", "b.png")
    with pytest.raises(DataError, match=r"1 of the 2 images .* first b\.png"):
        open_source(tmp_path)
    _write(tmp_path, "x/a.png", "y/a.png")
    with pytest.raises(DataError, match=r"x/a\.png and y/a\.png are both"):
        open_source(tmp_path)
    _image(tmp_path, "images/a.png", (20, 15))
    _write(tmp_path, "a.png")
    with pytest.raises(DataError, match="30 x 40 px but its image is 15 x 20"):
        open_source(tmp_path).load("a")
    _write(tmp_path, "a.png", place="annotations/2.xml")
    with pytest.raises(DataError, match=r"may both be the XML of CVAT"):
        open_source(tmp_path)


def test_projects_put_images_below_their_subset(tmp_path: Path) -> None:
    points = '<points label="T" points="{},3.5"/></image>'
    images = "".join(
        f'<image name="{name}" subset="{subset}" width="40" height="30">'
        + points.format(i)
        for i, (subset, name) in enumerate(
            [("Train", "a.png"), ("Validation", "a.png"), ("Train", "x/b.png")]
        )
    )
    (tmp_path / "annotations.xml").write_text(f"<annotations>{images}</annotations>")
    for name in ("Train/a.png", "Validation/a.png", "Train/x/b.png"):
        _image(tmp_path, f"images/{name}")
    source = open_source(tmp_path)
    assert source.image_ids == ("Train/a", "Train/x/b", "Validation/a")
    found = {i: source.load(i).points_yx.tolist() for i in source.image_ids}
    assert found["Train/a"] == [[3.5, 0]]
    assert found["Validation/a"] == [[3.5, 1]]
    assert found["Train/x/b"] == [[3.5, 2]]
    (tmp_path / "images/Train/x/b.png").rename(tmp_path / "b.png")
    assert open_source(tmp_path).load("Train/x/b").points_yx.tolist() == [[3.5, 2]]
