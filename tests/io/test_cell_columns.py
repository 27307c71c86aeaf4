import numpy as np
import pytest

from cellrec_jax.io import cell_columns

GOOD = {
    "points_yx": [[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]],
    "scores": [0.5, 0.25, 1.0],
    "labels": [0, 1, 0],
    "boxes_yxyx": [[0, 1, 2, 3], [2, 3, 2, 3], [4, 5, 6, 7.0]],
    "class_probs": [[0.5, 0.5], [0.75, 0.25], [1.0, 0.0]],
}


def fault(**changes):
    columns = {name: np.array(value) for name, value in (GOOD | changes).items()}
    return cell_columns.fault(cell_columns.columns(7, **columns), 2)


def test_columns_are_numbered_and_of_double_precision():
    arrays = {name: np.array(value, np.float32) for name, value in GOOD.items()}
    cells = cell_columns.columns(7, **arrays | {"boxes_yxyx": None})
    assert cells.numbers.tolist() == [7, 8, 9]
    assert cells.labels.tolist() == [0, 1, 0]
    assert {column.dtype for column in cells} == {np.dtype("i8"), np.dtype("f8")}
    assert cells.boxes_yxyx.shape == (3, 0)
    assert cell_columns.fault(cells, 2) is None


@pytest.mark.parametrize(
    ("name", "place", "value", "what"),
    [
        ("points_yx", (1, 0), np.nan, "8: its point"),
        ("points_yx", (2, 1), -1e12, "9: its point"),
        ("scores", 0, -np.inf, "7: its score"),
        ("labels", 1, 2, "8: its class is none of 2"),
        ("labels", 2, -1, "9: its class"),
        ("boxes_yxyx", (1, 3), np.inf, "8: its box is not finite"),
        ("boxes_yxyx", (1, 3), 2.9, "8: its box ends"),
        ("class_probs", (2, 1), np.nan, "9: a probability"),
    ],
)
def test_a_fault_names_the_cell(name, place, value, what):
    wrong = np.array(GOOD[name])
    wrong[place] = value
    assert fault(**{name: wrong}).startswith(what)


def test_of_several_faults_the_first_cell_counts():
    assert fault(scores=[0, 0, np.nan], labels=[0, 5, 0]).startswith("8: its class")


@pytest.mark.parametrize("name", GOOD)
def test_other_lengths_are_a_mistake(name):
    with pytest.raises(ValueError, match=r"."):
        fault(**{name: GOOD[name][:2]})
