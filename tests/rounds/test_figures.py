import numpy as np
from PIL import Image
import pytest

from cellrec_jax import errors
from cellrec_jax.rounds import figures as refine_figures
from cellrec_jax.rounds import labels as round_labels
from cellrec_jax.rounds.figures import RoundPanel

NONE_YX = np.zeros((0, 2), np.float32)
NOTHING = RoundPanel("round 0", round_labels.given(NONE_YX), NONE_YX)
RED, BLUE, GREEN, YELLOW = "#e6142d", "#1e88ff", "#2fc24b", "#ffd60a"


def pixels(path):
    """The drawing; opening it proves that the PNG is whole."""
    image = np.array(Image.open(path).convert("RGB"))
    assert min(image.shape[:2]) > 300
    return image.astype(int)


def where(image, color):
    """(y, x) of the pixels of this colour."""
    wanted = [int(color[i : i + 2], 16) for i in (1, 3, 5)]
    return np.argwhere(np.abs(image - wanted).max(axis=-1) <= 2)


def panel(title="round 1"):
    labels = round_labels.ImageLabels(
        np.float32([[10, 20], [10, 70], [50, 20]]),
        round_labels.ORIGINS,
        np.int32([0, 1, 1]),
        np.float32([np.nan, 2, -2]),
    )
    return RoundPanel(title, labels, np.float32([[50, 70]]))


def test_labels_lie_where_they_are(tmp_path):
    image = np.random.default_rng(0).integers(0, 4096, (60, 90), np.uint16)
    refine_figures.selected_labels(tmp_path / "labels.png", image, [panel()])
    drawn = pixels(tmp_path / "labels.png")
    # Without the legend below: yellow top left, red top right, blue and green below.
    found = [where(drawn[:-80], color) for color in (YELLOW, RED, BLUE, GREEN)]
    assert min(map(len, found)) > 20
    yellow, red, blue, green = (points.mean(axis=0) for points in found)
    scale = (red[1] - yellow[1]) / 50
    assert blue[0] - yellow[0] == pytest.approx(40 * scale, rel=0.05)
    assert green == pytest.approx(np.array([blue[0], red[1]]), abs=3)
    everywhere = [len(where(drawn, color)) for color in (YELLOW, RED, BLUE, GREEN)]
    assert all(map(int.__gt__, everywhere, map(len, found)))  # all in the legend


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((60, 90), np.uint8),
        np.full((60, 90, 1), 0.5, np.float32),
        np.full((300, 40, 3), 65535, np.uint16),
    ],
)
def test_constant_images_without_labels(tmp_path, image):
    panels = [NOTHING, panel("$a_{b}"), NOTHING, NOTHING]
    refine_figures.selected_labels(tmp_path / "labels.png", image, panels)
    drawn = pixels(tmp_path / "labels.png")
    assert drawn.shape[1] > 1500  # three side by side


def test_histograms(tmp_path):
    path = tmp_path / "scores.png"
    scores = np.linspace(-3, 3, 50)
    panels = {
        "classifier": {"given": scores + 2, "unselected": np.append(scores, np.nan)},
        "nothing": {"given": np.full(3, np.nan)},
        "$rank_{ing}": {"pseudo_negative": scores[:1], "pseudo_positive": np.zeros(0)},
        "constant": {"pseudo_positive": np.zeros(9), "other": np.full(9, -1e9)},
    }
    refine_figures.score_histograms(path, panels)
    drawn = pixels(path)
    for color in (YELLOW, GREEN, BLUE, RED):
        assert len(where(drawn, color)) > 50
    refine_figures.score_histograms(path, {})
    pixels(path)


def test_curves(tmp_path):
    path = tmp_path / "rounds.png"
    curves = {
        "training images": {"recall": [0.98, 0.96, 0.95], "F1": [0.4, 0.9, np.nan]},
        "test images": {"F1": [0.4], "precision": [np.nan]},
    }
    refine_figures.round_curves(path, curves)
    drawn = pixels(path)
    assert len(where(drawn, "#0072b2")) > 300  # recall: a level line
    assert len(where(drawn, "#d55e00")) > 300  # F1, of one colour in both panels
    assert len(where(drawn[:, drawn.shape[1] // 2 :], "#d55e00")) > 50


@pytest.mark.parametrize("curves", [{}, {"training": {}}, {"test": {"F1": []}}])
def test_no_curves(tmp_path, curves):
    refine_figures.round_curves(tmp_path / "rounds.png", curves)
    pixels(tmp_path / "rounds.png")


def test_a_folder_that_cannot_be_written_to(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(errors.RunError, match="cannot write"):
        refine_figures.round_curves(tmp_path / "file" / "rounds.png", {})


def test_rounds_are_drawn_whatever_is_undefined(tmp_path):
    undefined = {"precision": None, "recall": 0.0, "F1": None}
    summaries = [{"round": 0, "train": undefined}, {"round": 1, "train": undefined}]
    refine_figures.draw_rounds(tmp_path, summaries)
    assert (tmp_path / "figures" / "rounds.png").stat().st_size > 1000
