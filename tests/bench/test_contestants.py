import jax.numpy as jnp
import numpy as np
import pytest

from cellrec_jax.bench import contestants

X = np.array([1.0, 2.0], np.float32)


def test_jitted_says_what_it_holds():
    made = contestants.jitted(lambda x: x + 1, moved_bytes=16.0, flops=2.0)
    call = made.build(X)
    assert call.run().tolist() == [2, 3]
    assert call.held_bytes >= X.nbytes
    assert (made.moved_bytes, made.flops) == (16, 2)


def test_plain_copy_expects_its_inputs():
    made = contestants.plain_copy(16.0)
    assert made.build(X).run()[0].tolist() == [1, 2]
    assert made.expected is not None
    assert made.expected(X) == (X,)


def test_to_numpy():
    found = contestants.to_numpy(jnp.asarray(X, jnp.bfloat16))
    assert found.dtype == np.float64
    assert found.tolist() == [1, 2]


def test_torch_peer():
    pytest.importorskip("torch")
    square = contestants.torch_value_and_grad(lambda x, index: (x[index] ** 2).sum())
    made = contestants.torch_peer(square, moved_bytes=1.0, flops=1.0)
    value, gradient = made.build(X, np.array([1], np.int32)).run()
    assert contestants.to_numpy(value) == 4
    assert contestants.to_numpy(gradient).tolist() == [0, 4]
