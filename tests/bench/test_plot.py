import pytest

from cellrec_jax.bench import plot, report

pytest.importorskip("matplotlib")
FACTS = {"device": "box", "cores": 2}


def row(boxes, contestant, median_ms, **point):
    return {
        "boxes": boxes,
        **point,
        "direction": "forward",
        "contestant": contestant,
        "median_ms": median_ms,
        "low_ms": 0.9 * median_ms,
        "high_ms": 1.2 * median_ms,
    }


ROWS = tuple(
    row(boxes, name, factor * boxes, batch=batch)
    for boxes in (8, 64)
    for name, factor in (("sorted", 0.1), ("torch cdist", 1.0), ("copy", 0.01))
    for batch in (1, 4)
)


def test_a_panel_for_each_setting():
    panels = plot._panels(ROWS, "boxes")
    assert list(panels) == ["batch 1, forward", "batch 4, forward"]
    assert [len(rows) for rows in panels.values()] == [6, 6]


def test_what_follows_the_size_is_no_panel():
    rows = [
        row(n, "host", 1.0, cells=n // 8, scene=scene)
        for n in (8, 64)
        for scene in ("crowded", "scattered")
    ]
    panels = plot._panels(rows, "boxes")
    assert list(panels) == ["crowded, forward", "scattered, forward"]
    assert all(len({r["boxes"] for r in found}) == 2 for found in panels.values())


@pytest.mark.parametrize("rows", [ROWS, ()])
def test_draws_a_png(tmp_path, rows):
    path = tmp_path / "new" / "density.png"
    plot.draw(path, "density", report.Report(rows, x="boxes"), FACTS)
    assert path.read_bytes().startswith(b"\x89PNG")
