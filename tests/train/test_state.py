"""Which parameters are evaluated."""

from cellrec_jax.train.state import TrainState


def test_averaged_parameters_win_where_there_are_any():
    state = TrainState(
        step=0, params={"w": 1}, model_state={}, opt_state={}, ema_params={}
    )
    assert state.eval_params == {"w": 1}
    assert state.replace(ema_params={"w": 2}).eval_params == {"w": 2}
