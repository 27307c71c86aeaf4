import jax
import jax.numpy as jnp

from cellrec_jax import types


def test_records_pass_through_jit_by_name():
    decode = types.Decode(thresholds=jnp.array([0.1, 0.2]), min_distance=jnp.array(3.0))
    doubled = jax.jit(lambda d: jax.tree.map(lambda leaf: 2 * leaf, d))(decode)
    assert isinstance(doubled, types.Decode)
    assert doubled.min_distance == 6.0


def test_averaged_parameters_win_where_there_are_any():
    state = types.TrainState(
        step=0, params={"w": 1}, model_state={}, opt_state={}, ema_params={}
    )
    assert state.evaluated is state
    averaged = state.replace(ema_params={"w": 2}, ema_state={"mean": 3}).evaluated
    assert (averaged.params, averaged.model_state) == ({"w": 2}, {"mean": 3})
