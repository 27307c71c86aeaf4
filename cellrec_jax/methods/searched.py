"""The loss of methods whose values a `fit` searches: there is none."""

from collections.abc import Callable
from typing import Any

from cellrec_jax import errors


def no_loss(method: str) -> Callable[..., Any]:
    """A `loss_fn` that raises a ConfigError naming the method."""

    def loss_fn(*args: Any, **kwargs: Any) -> Any:
        del args, kwargs
        raise errors.ConfigError(
            f"--config.method={method} is not trained by gradients: its values are "
            "searched by `fit`"
        )

    return loss_fn
