"""A file of predictions comes back as it was."""

import numpy as np
import pytest

from cellrec_jax import errors
from cellrec_jax.evaluate import saved


def test_results_come_back(results, tmp_path):
    drawn = [results[0]._replace(num_cells=7, group="slide"), results[1]]
    path = tmp_path / "predictions" / saved.FILE
    saved.save(path, drawn, ("a", "b"), 12.5)
    found = saved.load(path)
    assert (found.class_names, found.radius_px) == (("a", "b"), 12.5)
    for one, before in zip(found.results, drawn, strict=True):
        for value, other in zip(one, before, strict=True):
            np.testing.assert_array_equal(value, other)
            assert np.asarray(value).dtype == np.asarray(other).dtype


def test_another_file_is_one_line(tmp_path):
    for name, content in (("none.npz", None), ("text.npz", b"no archive")):
        path = tmp_path / name
        if content:
            path.write_bytes(content)
        with pytest.raises(
            errors.DataError, match=rf"{name}: no predictions"
        ) as caught:
            saved.load(path)
        assert "\n" not in str(caught.value)
    np.savez(tmp_path / "other.npz", a=np.zeros(2))
    with pytest.raises(errors.DataError, match=r"other\.npz"):
        saved.load(tmp_path / "other.npz")
