"""Folders that prediction wrote, and tables by themselves, with their areas."""

import json

import numpy as np
import pytest

from cellrec_jax import errors
from cellrec_jax.io import cell_table, table
from cellrec_jax.predict import journal, summary
from cellrec_jax.predict.slide import summary as slide_summary
from cellrec_jax.score import results, tables

NAMES = ("positive", "negative")


def cells(name, points_yx, labels):
    points_yx = np.asarray(points_yx, float).reshape(-1, 2)
    return table.detection_rows(name, points_yx, np.ones(len(labels)), labels, NAMES)


def model(folder, mpp=0.0, **state):
    cuts = dict.fromkeys(NAMES, 0.5)
    content = {"settings": {"thresholds": cuts, "mpp": mpp, "weights": "w"}, **state}
    (folder / "predict.json").write_text(json.dumps(content))


@pytest.fixture
def images(tmp_path):
    """Three images: two cells, none, and one that failed."""
    rows = cells("b.png", [[1, 2], [3, 4]], [1, 0])
    table.write_detections(tmp_path / "detections.csv", rows)
    done = [
        journal.Done("b.png", "/b.png", 1, 1, 20, 30, 0.5, (1, 1)),
        journal.Done("a.png", "/a.png", 1, 1, 40, 50, 0.5, (0, 0), "no cells"),
    ]
    source = dict.fromkeys(NAMES, "fitted")
    summary.write(tmp_path, done, {"c.png": "damaged"}, NAMES, [0.5, 0.5], source)
    model(tmp_path, finished=True)
    return tmp_path


@pytest.fixture
def slides(tmp_path):
    """Two slides in CSV and Parquet, one of them in a sub-folder, one that failed."""
    rows = {}
    for name, ending in (("s.svs", ".csv"), ("sub/t.svs", ".parquet")):
        path = tmp_path / f"{name}{ending}"
        path.parent.mkdir(exist_ok=True)
        with cell_table.open_cells(path, name, NAMES, mpp=0.25) as add:
            add(
                *(np.ones((3, 2)), np.ones(3), np.array([0, 1, 1]), np.ones((3, 2)) / 2)
            )
        rows[name] = {
            **{"height": 4000, "width": 5000, "mpp": 0.25},
            **{"mpp_source": "OpenSlide (aperio)", "analysed_mm2": 0.75},
            "bad_tiles": 2,
        }
    slide_summary.write(tmp_path, rows, {"u.svs": "damaged"}, {})
    model(tmp_path, finished=False)
    return tmp_path


def tables_of(*classes):
    number = len(classes)
    return tables.Table(
        np.full(number, ""), np.ones((number, 2)), np.array(classes), 0.0
    )


def test_a_folder_of_images(images):
    found = results.read([str(images)])
    assert (found.what, found.class_names) == ("images", NAMES)
    assert found.left_out == {"c.png": "damaged"}
    assert not found.notes
    empty, one = found.sheets
    assert (empty.name, len(empty.labels), empty.size_hw) == ("a.png", 0, (40, 50))
    np.testing.assert_array_equal(one.points_yx, [[1, 2], [3, 4]])
    assert one.labels.tolist() == [1, 0]
    assert one.area_mm2 == pytest.approx(20 * 30 * 0.25 / 1e6)
    assert (one.mpp, one.mpp_source) == (0.5, "the image file")
    given = results.read([str(images)], 0.25).sheets[1]
    assert given.area_mm2 == pytest.approx(20 * 30 * 0.0625 / 1e6)
    assert (given.mpp, given.mpp_source) == (0.25, "--mpp")


def test_who_said_the_pixel_size_of_images(images):
    model(images, mpp=0.5)
    assert results.read([str(images)]).sheets[0].mpp_source == "--mpp"


def test_rows_of_images_that_are_not_finished_are_left_out(images):
    rows = cells("d.png", [[5, 5]], [0])
    table.append_rows(images / "detections.csv", rows, table.DETECTION_COLUMNS)
    found = results.read([str(images)])
    assert len(found.sheets) == 2
    assert found.notes[0].startswith("warning: 1 images of detections.csv")


def test_a_folder_of_slides(slides):
    found = results.read([str(slides)])
    assert (found.what, found.class_names) == ("slides", NAMES)
    assert [one.name for one in found.sheets] == ["s.svs", "sub/t.svs"]
    assert found.left_out == {"u.svs": "damaged"}
    assert "is not finished" in found.notes[0]
    for one in found.sheets:
        assert one.labels.tolist() == [0, 1, 1]
        assert (one.size_hw, one.area_mm2, one.tiles_left_out) == (None, 0.75, 2)
        assert one.area_px() == pytest.approx(0.75e6 / 0.0625)
        assert one.mpp_source == "OpenSlide (aperio)"
    (slides / "s.svs.csv").unlink()
    assert results.read([str(slides)]).left_out["s.svs"] == "its table is not there"
    given = results.read([str(slides)], 0.5).sheets[0]
    assert given.area_mm2 == pytest.approx(4 * 0.75)


def test_a_table_has_the_area_of_the_summary_beside_it(slides):
    """As a slide's GeoJSON that was corrected in QuPath does."""
    (one,) = results.read([str(slides / "sub" / "t.svs.parquet")]).sheets
    assert (one.name, one.area_mm2, one.tiles_left_out) == ("sub/t.svs", 0.75, 2)


def test_corrected_cells_of_a_slide(slides):
    feature = {
        "type": "Feature",
        "geometry": {"type": "Point", "coordinates": [7, 5]},
        "properties": {"objectType": "detection", "classification": None},
    }
    dropped = json.loads(json.dumps(feature))
    dropped["properties"]["classification"] = {"name": "Ignore*"}
    path = slides / "sub" / "t.svs.geojson"
    path.write_text(
        json.dumps({"type": "FeatureCollection", "features": [feature, dropped]})
    )
    found = results.read([str(path)])
    assert found.class_names == (*NAMES, "unclassified")
    assert found.sheets[0].area_mm2 == 0.75
    assert found.sheets[0].points_yx.tolist() == [[5, 7]]
    assert found.sheets[0].labels.tolist() == [2]


def test_classes_are_the_models_in_upper_or_lower_case(slides):
    """A cell that is added in QuPath has a class of QuPath's own, Positive."""
    path = slides / "s.svs.csv"
    path.write_text("x,y,class\n1,1,negative\n2,2,Positive\n3,3,Other\n4,4,OTHER\n")
    found = results.read([str(path)])
    assert found.class_names == (*NAMES, "OTHER")
    assert found.sheets[0].labels.tolist() == [1, 0, 2, 2]
    alone = slides.parent / "alone.csv"
    alone.write_text("x,y,class\n1,1,negative\n2,2,Negative\n3,3,positive\n")
    assert results.read([str(alone)]).class_names == ("Negative", "positive")


def test_tables_alone(tmp_path):
    rows = cells("a", [[1, 2]], [1]) + cells("b", [[1, 2]], [0])
    table.write_detections(tmp_path / "x.csv", rows)
    found = results.read([str(tmp_path / "x.csv")])
    assert (found.what, found.class_names) == ("tables", ("negative", "positive"))
    assert [one.name for one in found.sheets] == ["a", "b"]
    assert found.sheets[0].area_mm2 is None
    assert not found.model


def test_what_is_refused(images, tmp_path):
    with pytest.raises(errors.DataError, match=r"nowhere: there is no such"):
        results.read([str(tmp_path / "nowhere")])
    with pytest.raises(errors.DataError, match=r"no table of cells"):
        results.read([str(images / "predict.json")])
    with pytest.raises(errors.ConfigError, match="one folder of results, or tables"):
        results.read([str(images), str(images)])
    twice = [str(images / "detections.csv")] * 2
    with pytest.raises(errors.DataError, match="two tables are of one image"):
        results.read(twice)
    (tmp_path / "empty").mkdir()
    with pytest.raises(errors.DataError, match=r"no summary\.csv there"):
        results.read([str(tmp_path / "empty")])


def test_names_of_qupath_are_the_models(images):
    """As of cells that were corrected there, without what our files tell."""
    names = ("Positive", "negative", "Ignore*")
    features = [
        {
            "type": "Feature",
            "geometry": {"type": "Point", "coordinates": [3, 4]},
            "properties": {"classification": {"name": name, "color": [1, 2, 3]}},
        }
        for name in names
    ]
    (images / "b.png.geojson").write_text(json.dumps(features))
    found = results.read([str(images / "b.png.geojson")])
    assert found.class_names == NAMES
    assert found.sheets[0].labels.tolist() == [0, 1]


def test_tumour_cells_of_qupath_are_the_models():
    own = ("tumour_pos", "tumour_neg")
    parts = [tables_of("Tumor: Positive", "TUMOUR_NEG", "Stroma")]
    names = results._class_names(
        {"settings": {"thresholds": dict.fromkeys(own)}}, parts, []
    )
    assert names == (*own, "Stroma")
    labels = [results._label(kind, names) for kind in parts[0].classes]
    assert labels == [0, 1, 2]
