"""What processes share, of one; `test_multihost` has two."""

import numpy as np
import pytest

from cellrec_jax import hosts


@pytest.mark.parametrize("number", [1, 2, 3, 7])
@pytest.mark.parametrize("count", [0, 1, 5, 6])
def test_parts_are_put_together_in_order(number, count):
    items = list(range(count))
    parts = [items[index::number] for index in range(number)]
    assert hosts.in_order(parts) == items


def test_one_process_has_everything():
    assert hosts.is_first()
    assert hosts.own(["a", "b"]) == ["a", "b"]
    assert hosts.gather(b"text") == [b"text"]
    assert hosts.gather_json({"a": [1, None]}) == [{"a": [1, None]}]
    assert hosts.most(3) == 3
    arrays = {"x": np.arange(3, dtype=np.int16), "empty": np.zeros((0, 2))}
    (found,) = hosts.gather_arrays(arrays)
    for name, array in arrays.items():
        np.testing.assert_array_equal(found[name], array)
        assert found[name].dtype == array.dtype
