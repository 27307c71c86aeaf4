import jax
import jax.numpy as jnp

from cellrec_jax import types


def test_records_pass_through_jit_by_name():
    decode = types.Decode(thresholds=jnp.array([0.1, 0.2]), min_distance=jnp.array(3.0))
    doubled = jax.jit(lambda d: jax.tree.map(lambda leaf: 2 * leaf, d))(decode)
    assert isinstance(doubled, types.Decode)
    assert doubled.min_distance == 6.0


def test_detections_without_boxes():
    fields = {"points_yx": 2, "class_probs": 3}
    arrays = {name: jnp.zeros((1, 4, size)) for name, size in fields.items()}
    flat = {name: jnp.zeros((1, 4)) for name in ("scores", "labels", "mask")}
    detections = types.Detections(**arrays, **flat)
    assert detections.boxes_yxyx is None
    assert len(jax.tree.leaves(detections)) == 5


def test_methods_need_only_three_functions():
    method = types.Method(init=print, loss_fn=print, predict=print)
    assert method.traits == types.Traits()
    assert method.traits.stride == 1
    assert method.traits.fit is method.traits.candidates is None


def test_averaged_parameters_win_where_there_are_any():
    state = types.TrainState(
        step=0, params={"w": 1}, model_state={}, opt_state={}, ema_params={}
    )
    assert state.eval_params == {"w": 1}
    assert state.replace(ema_params={"w": 2}).eval_params == {"w": 2}
