import numpy as np
import pytest

from cellrec_jax.bench import contestants, large, torch_points
from cellrec_jax.bench.report import Settings

pytest.importorskip("ml_collections")


@pytest.mark.slow
def test_all_ways_see_the_same_windows():
    rows = large.run(Settings(sizes_hw=((700, 900),), repeats=1), lambda _: None).rows
    ways = ["file to cells", "plain loop", "torch loop", "network alone"]
    if not contestants.has_torch():
        ways.remove("torch loop")
    assert [row["way"] for row in rows] == ways
    assert {row["windows"] for row in rows} == {4}
    assert all(row["mpx_per_s"] > 0 and row["peak_mib"] > 0 for row in rows)


def test_pytorchs_network_has_the_outputs_of_ours():
    pytest.importorskip("torch")
    found = torch_points.predictor(3)(np.zeros((1, 64, 96, 3), np.uint8))
    assert [output.shape for output in found] == [
        (1, channels, 4, 6) for channels in (2, 2, 3)
    ]
