"""Which parameters a method leaves as they are."""

from collections.abc import Callable
import functools
from typing import Any

import jax


@functools.cache  # the same function, so that steps alike are compiled once
def all_but(name: str) -> Callable[[Any], Any]:
    """Trains all parameters but those of one first name, for `Traits.trainable`."""

    def trainable(params: Any) -> Any:
        return {
            own: jax.tree.map(lambda _, learns=own != name: learns, part)
            for own, part in params.items()
        }

    return trainable
