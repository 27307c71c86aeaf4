"""What the loop leaves as it is."""

from cellrec_jax.methods import frozen


def test_all_parameters_are_trained_but_those_of_one_name():
    params = {"a": {"x": 1.0, "first": 2.0}, "first": {"params": {"x": 3.0}, "b": {}}}
    assert frozen.all_but("first")(params) == {
        "a": {"x": True, "first": True},
        "first": {"params": {"x": False}, "b": {}},
    }
