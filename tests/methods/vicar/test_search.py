import numpy as np
import pytest

from cellrec_jax.methods.vicar import phase_optics, watershed_seeds
from cellrec_jax.methods.vicar import search as vicar_search
from cellrec_jax.metrics import matching

CELLS_YX = np.array([[10.5, 13.0], [26.0, 15.5], [15.5, 36.0]])
GRID = vicar_search.SeedGrid(
    threshold=(10.0, 0.05, 0.1),
    min_area_px=(10.0, 400.0),
    max_hole_px=(5.0,),
    h_px=(1.0,),
)


def frame(rng, size_hw, points_yx, scale=1):
    """Dark discs on noise."""
    y, x = np.mgrid[: size_hw[0], : size_hw[1]] + 0.5
    image = 150 + rng.normal(0, 2, size_hw)
    for cy, cx in points_yx:
        image[np.hypot(y - cy, x - cx) < 5] -= 90
    return scale * image.round()


@pytest.fixture
def frames(rng):
    return [
        frame(rng, (36, 48), CELLS_YX).astype(np.uint8),
        frame(rng, (36, 48), CELLS_YX[1:], 257).astype(np.uint16),
        frame(rng, (36, 48), CELLS_YX[:2], 1 / 255).astype(np.float32),
    ]


def test_search_finds_the_best_of_the_grid(frames):
    points_yx = [CELLS_YX, CELLS_YX[1:], CELLS_YX[:2]]
    result = vicar_search.search(frames, points_yx, 3.0, GRID)
    assert result.options == watershed_seeds.SeedOptions(0.05, 10.0, 5.0, 1.0)
    assert result.f1 == 1.0
    assert len(result.tried) == 6
    assert result.rule == "given"
    assert dict(result.tried)[result.options._replace(threshold=10.0)] == 0.0
    worst = dict(result.tried)[result.options._replace(min_area_px=400.0)]
    assert worst == 0.0


def test_f1_decides_where_no_combination_matches_two_points(frames):
    """One real cell, one place without: recall^2 cannot be estimated from one match."""
    points_yx = [np.array([[10.5, 13.0], [33.0, 45.0]]), CELLS_YX[:0], CELLS_YX[:0]]
    result = vicar_search.search(frames, points_yx, 3.0, GRID, labels="sampled")
    assert result.options == watershed_seeds.SeedOptions(0.05, 10.0, 5.0, 1.0)
    assert result.f1 == pytest.approx(2 / 9)  # one match of seven found and two given
    assert result.rule == "given"
    points_yx = [CELLS_YX[:2], CELLS_YX[:0], CELLS_YX[:0]]
    result = vicar_search.search(frames, points_yx, 3.0, GRID, labels="sampled")
    assert result.rule == "sampled"


def test_scores_are_those_of_the_found_points(frames):
    points_yx = [CELLS_YX, CELLS_YX, CELLS_YX]
    result = vicar_search.search(frames, points_yx, 3.0, GRID)
    restored = vicar_search.restore_all(frames)
    for options, f1 in result.tried:
        threshold, min_area_px, max_hole_px, h_px = options
        masks = (
            watershed_seeds.foreground(image, threshold, min_area_px, max_hole_px)
            for image in restored
        )
        maps = map(watershed_seeds.distance_map, masks)
        found = [
            watershed_seeds.centroids(watershed_seeds.h_maxima(x, h_px)) for x in maps
        ]
        pairs = sum(len(matching.match_points(x, CELLS_YX, 3.0)) for x in found)
        assert f1 == pytest.approx(2 * pairs / (sum(map(len, found)) + 9))
    assert result.f1 == pytest.approx(2 * 7 / 16)


def test_progress_is_told_of_each_mask_on_each_frame(frames):
    seen = []

    def track(items, what):
        seen.append((len(items), what))
        yield from items

    points_yx = [CELLS_YX] * 3
    shown = vicar_search.search(frames, points_yx, 3.0, GRID, track=track)
    assert shown == vicar_search.search(frames, points_yx, 3.0, GRID)
    assert seen == [(3 * 6 // len(GRID.h_px), "values on images")]


def test_types_agree(frames):
    image = frames[0]
    copies = [image, image.astype(np.uint16) * 257, image / np.float32(255)]
    restored = vicar_search.restore_all(copies)
    for other in restored[1:]:
        np.testing.assert_allclose(other, restored[0], atol=2e-5)


def test_frames_of_mixed_size_keep_their_order(monkeypatch):
    stacks = []

    def same(stack, options):
        assert options == phase_optics.DEFAULTS
        stacks.append(stack.shape)
        return stack

    monkeypatch.setattr(vicar_search, "_restore", same)
    sizes = [(3, 4), (2, 5), (3, 4)]
    given = [np.full(size, index, np.uint8) for index, size in enumerate(sizes)]
    found = vicar_search.restore_all(given)
    assert stacks == [(2, 3, 4), (1, 2, 5)]
    for image, restored in zip(given, found, strict=True):
        np.testing.assert_array_equal(restored, image)
    assert vicar_search.restore_all([]) == []


def test_bad_input_is_refused(frames):
    grey, empty = frames[0], np.zeros((0, 2))
    with pytest.raises(ValueError, match="1 frames and 2 sets"):
        vicar_search.search([grey], [CELLS_YX, CELLS_YX], 3.0, GRID)
    with pytest.raises(ValueError, match="no frame has a cell"):
        vicar_search.search([grey], [empty], 3.0, GRID)
