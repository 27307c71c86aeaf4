import numpy as np
import pytest

from cellrec_jax.data.synthetic import chromatin
from cellrec_jax.data.synthetic import layout as layout_lib
from cellrec_jax.data.synthetic import nuclei as nuclei_lib

STYLE = chromatin.Style(
    size=1.0,
    elongation=0.6,
    aligned=1.0,
    vesicular=0.0,
    grain=0.2,
    clumped=0.0,
    weak=0.0,
    nucleoli=1.0,
    edge=0.2,
    ragged=0.05,
)
FLOW = np.full((60, 60), 0.5, np.float32)
CELL = layout_lib.Nucleus((30.0, 20.0), (12, 12), 0, 0.05, 0.2, 0.02, 0.3, 0, 1.0)


def restyled(style, label, number=200):
    labels = np.full(number, label)
    rng = np.random.default_rng(0)
    return chromatin.restyle(rng, [CELL] * number, labels, style, FLOW)


def test_styles_lie_in_their_ranges():
    drawn = [chromatin.draw_style(np.random.default_rng(i)) for i in range(200)]
    sizes = [style.size for style in drawn]
    assert min(sizes) == pytest.approx(0.9, abs=0.01)
    assert max(sizes) == pytest.approx(1.15, abs=0.01)
    for name in ("aligned", "vesicular", "clumped", "weak", "nucleoli"):
        shares = [getattr(style, name) for style in drawn]
        assert 0 <= min(shares) < 0.05 < 0.45 < max(shares) <= 1


def test_outlines_follow_the_flow():
    cells = restyled(STYLE, 1)
    assert all(cell.center_yx == CELL.center_yx for cell in cells)
    ratios = [cell.radii[1] / cell.radii[0] for cell in cells]
    assert np.median(ratios) == pytest.approx(0.6, abs=0.04)
    assert 0.35 - 1e-6 <= min(ratios) <= max(ratios) <= 1
    # The area stays.
    areas = [np.prod(cell.radii) for cell in cells]
    np.testing.assert_allclose(areas, 144)
    turned = [cell.angle - 0.5 for cell in cells]
    assert np.std(turned) == pytest.approx(0.3, abs=0.06)
    loose = restyled(STYLE._replace(aligned=0.0), 1)
    assert np.std([cell.angle for cell in loose]) > 2.5


def test_negative_nuclei_keep_their_stain():
    for style in (STYLE, STYLE._replace(vesicular=1.0)):
        for cell in restyled(style, 1):
            assert (cell.haematoxylin, cell.dab) == (0.2, 0.02)
            assert (cell.hollow > 0) == (style.vesicular == 1)


def test_weak_nuclei_are_browner_than_negative_ones():
    weak = restyled(STYLE._replace(weak=1.0), 0)
    strong = restyled(STYLE, 0)
    assert min(cell.dab for cell in weak) >= 0.12
    assert max(cell.dab for cell in weak) <= 0.45
    assert min(cell.dab for cell in strong) >= 0.5
    hollow = [cell.hollow > 0 for cell in strong]
    assert np.mean(hollow) == pytest.approx(0.15, abs=0.08)


def test_clumped_nuclei_are_coarse():
    plain, coarse = restyled(STYLE, 0), restyled(STYLE._replace(clumped=1.0), 0)
    assert max(cell.grain for cell in plain) <= 0.2 * 1.6
    assert min(cell.grain for cell in coarse) >= 0.4


def test_nucleoli_lie_inside():
    cells = restyled(STYLE, 1, 50)
    grains = chromatin.nucleoli(np.random.default_rng(0), cells, STYLE)
    assert 50 <= len(grains) <= 100
    assert max(grain.radii[0] for grain in grains) <= 0.26 * 12 / 0.35
    away = [np.hypot(*np.subtract(grain.center_yx, CELL.center_yx)) for grain in grains]
    assert np.median(away) < 0.5 * 12
    none = STYLE._replace(nucleoli=0.0)
    assert chromatin.nucleoli(np.random.default_rng(0), cells, none) == []


def test_hollow_nuclei_are_paler_in_the_middle_alone():
    def drawn(hollow):
        rng = np.random.default_rng(0)
        canvas = nuclei_lib.make_canvas(rng, (60, 60), 0.3)
        cell = CELL._replace(center_yx=(30, 30), grain=0.0, roughness=0, hollow=hollow)
        nuclei_lib.draw(rng, canvas, [cell], annotated=True)
        return canvas.haematoxylin

    full, hollow = drawn(0.0), drawn(0.5)
    assert hollow[30, 30] == pytest.approx(0.5 * full[30, 30], rel=0.01)
    # 11 of 12 px from the middle the depth is 1 / 12, and less 0.5 (1 / 7.2) ^ 2.
    assert hollow[30, 40] == pytest.approx(full[30, 40], rel=0.03)
    assert np.all(hollow <= full)
