"""Annotations of programs that are not read are named for what they are."""

from pathlib import Path

from PIL import Image
import pytest

from cellrec_jax.data.readers import FORMATS, foreign, open_source
from cellrec_jax.errors import ConfigError, DataError

FEATURE = '{"type": "Feature", "geometry": {"type": "Point", "coordinates": [1, 2]}}'
TASKS = '[{"id": 1, "annotations": [{"id": 1, "completed_by": 1, "result": []}]}]'
ASAP = '<?xml version="1.0"?>\n<ASAP_Annotations><Annotations/></ASAP_Annotations>'
APERIO = '<Annotations MicronsPerPixel="0.5"><Annotation Id="1"/></Annotations>'
CVAT = "<!-- by CVAT -->\n<annotations><version>1.1</version></annotations>"
COUNTER = "<CellCounter_Marker_File></CellCounter_Marker_File>"
BOX = "0 0.5 0.25 0.1 0.2\n"

READ = [
    ("qupath", "other/a.geojson", FEATURE),
    ("qupath", "other/a.json", f"[{FEATURE}]"),
    ("cvat", "Annotations/a.xml", CVAT),
    ("label_studio", "images/a.json", TASKS),
    ("yolo", "text/a.txt", BOX),
    ("asap", "other/a.xml", ASAP),
    ("imagej", "other/a.roi", ""),
    ("aperio", "other/a.xml", APERIO),
    ("grand_challenge", "other/a.json", '{"type": "Multiple points"}'),
    ("slides", "images/a.ndpi.ndpa", "<annotations/>"),
]
KINDS = [
    ("QuPath project", "project.qpproj", "{}"),
    ("LabelMe", "images/a.json", '{"version": "5", "shapes": [], "imagePath": "a"}'),
    ("VGG Image Annotator", "via.json", '{"a": {"filename": "a", "regions": []}}'),
    ("Cellpose", "images/a_seg.npy", ""),
]


@pytest.mark.parametrize(("kind", "name", "text"), KINDS)
def test_named_for_what_it_is(kind: str, name: str, text: str, tmp_path: Path) -> None:
    for file in (tmp_path / "images/a.png", tmp_path / name):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    Image.new("L", (9, 6)).save(tmp_path / "images/a.png")
    with pytest.raises(DataError, match=f"is of {kind}, which is not read") as error:
        open_source(tmp_path)
    assert str(tmp_path / name) in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(("name", "file", "text"), READ)
def test_what_is_read_elsewhere(
    name: str, file: str, text: str, tmp_path: Path
) -> None:
    for path in (tmp_path / "images/a.png", tmp_path / file):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    Image.new("L", (9, 6)).save(tmp_path / "images/a.png")
    with pytest.raises(DataError, match=f"which data.format={name} reads") as error:
        open_source(tmp_path)
    assert str(tmp_path / file) in str(error.value)
    with pytest.raises(DataError) as reason:
        open_source(tmp_path, name)
    assert str(error.value).endswith(f"; here {reason.value}")


@pytest.mark.parametrize(
    ("format_name", "name", "text"),
    [
        ("voc", "images/a.xml", COUNTER),
        ("voc", "Annotations/a.xml", COUNTER),
        ("json_points", "json/a.json", '{"shapes": []}'),
    ],
)
def test_a_forced_format_names_it_too(
    format_name: str, name: str, text: str, tmp_path: Path
) -> None:
    (tmp_path / name).parent.mkdir(parents=True)
    (tmp_path / name).write_text(text)
    (tmp_path / "images").mkdir(exist_ok=True)
    Image.new("L", (9, 6)).save(tmp_path / "images/a.png")
    with pytest.raises(DataError, match=r"is of (ImageJ|LabelMe), which"):
        open_source(tmp_path, format_name)


def test_a_project_beside_a_known_layout_is_no_fault(tmp_path: Path) -> None:
    for name in ("images", "labels"):
        (tmp_path / name).mkdir()
    Image.new("L", (9, 6)).save(tmp_path / "images/a.png")
    (tmp_path / "labels/a.csv").write_text("1,2\n")
    (tmp_path / "project.qpproj").write_text("{}")
    assert open_source(tmp_path).format == "csv_points"


@pytest.mark.parametrize("word", ["LabelMe", "Cellpose"])
def test_formats_asked_for_by_name(word: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is not read") as error:
        open_source(tmp_path, word)
    assert "did you mean" not in str(error.value)


def test_formats_by_other_names(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="GeoJSON is read as"):
        open_source(tmp_path, "geojson")
    with pytest.raises(ConfigError, match="YOLO is read as"):
        open_source(tmp_path, "YOLOv8")
    assert set(foreign.READ_AS.values()) <= set(FORMATS)


def test_other_words_are_no_kind(tmp_path: Path) -> None:
    assert foreign.named("parquet") is None
    with pytest.raises(ConfigError, match="'parquet': known: auto"):
        open_source(tmp_path, "parquet")


@pytest.mark.parametrize("text", ["", "3\n", "a b c d e\n", "0 10 20 30 40\n"])
def test_other_text_is_not_yolo(text: str, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text(text)
    assert foreign.find(tmp_path) is None
