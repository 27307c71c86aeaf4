"""Places of COCO annotations; run lengths against a slow encoder."""

from typing import Any

import numpy as np
import pytest

from cellrec_jax.data.readers.coco_places import numbers, place


def _runs(mask: np.ndarray) -> list[int]:
    """Lengths of runs of 0, 1, 0 ... down the columns."""
    runs, last = [0], False
    for value in mask.T.ravel():
        if bool(value) != last:
            runs.append(0)
            last = bool(value)
        runs[-1] += 1
    return runs


def _compressed(runs: list[int]) -> str:
    """As the COCO API writes them: differences to the run before the last."""
    text = ""
    for i, run in enumerate(runs):
        value = run - runs[i - 2] if i > 2 else run
        more = True
        while more:
            bits, value = value & 31, value >> 5
            more = value != (-1 if bits & 16 else 0)
            text += chr(48 + bits + 32 * more)
    return text


def _masks() -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    masks = [rng.random((7, 9)) < share for share in (0.05, 0.3, 0.9) for _ in range(4)]
    block = np.zeros((300, 200), bool)
    block[40:250, 33:180] = True
    full = np.ones((4, 5), bool)
    return [mask for mask in (*masks, block, full) if mask.any()]


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("mask", _masks())
def test_run_lengths_give_the_box_of_their_pixels(
    mask: np.ndarray, compressed: bool
) -> None:
    runs = _runs(mask)
    counts = _compressed(runs) if compressed else runs
    outline = {"size": list(mask.shape), "counts": counts}
    pixels = np.argwhere(mask)
    expected = (*pixels.min(0), *(pixels.max(0) + 1))
    for bbox in ({}, {"bbox": [0, 0, 0, 0]}):
        found = place({"segmentation": outline, **bbox})
        assert found is not None
        box, is_box = found
        # A run over several columns covers their whole height, or more: exact here.
        assert is_box
        np.testing.assert_array_equal(box, expected)


@pytest.mark.parametrize(
    "outline",
    [
        {"size": [4, 5], "counts": [20]},  # no pixel
        {"size": [4, 5], "counts": [3, 4]},  # of another size
        {"size": [4, 5], "counts": [30, -10]},
        {"size": [4, 5], "counts": "\x1f"},
        {"size": [4, 5], "counts": "o"},
        {"size": "4", "counts": [20]},
        {"counts": [20]},
        {"size": [0, 0], "counts": [0]},
    ],
)
def test_other_run_lengths_are_no_place(outline: dict[str, Any]) -> None:
    assert place({"segmentation": outline}) is None


def test_numbers() -> None:
    assert numbers([1, 2.5], 2) == [1.0, 2.5]
    for values in ([1, float("inf")], [1, "2"], (1, 2), [1], [1, 10**400]):
        assert numbers(values, 2) is None


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ({"bbox": [3, 1, 4, 2.5]}, ((1, 3, 3.5, 7), True)),
        ({"bbox": [3, 1, 0, 0]}, ((1, 3, 1, 3), True)),
        ({"bbox": [3, 1, 0, 0], "point": [9, 8]}, ((8, 9, 8, 9), False)),
        ({"bbox": [3, 1, 4, 2], "keypoints": [9, 8, 2]}, ((1, 3, 3, 7), True)),
        ({"segmentation": [[3, 1, 8, 2, 5, 6]]}, ((1, 3, 6, 8), True)),
        ({"bbox": [3, 1, 4]}, None),
    ],
)
def test_places_in_order(row: dict[str, Any], expected: object) -> None:
    assert place(row) == expected
