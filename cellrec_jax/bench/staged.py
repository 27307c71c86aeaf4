"""A mapped function whose trace and compilation are told apart."""

import time
from typing import Any

import jax

from cellrec_jax.train import flops


class Staged:
    """A mapped function that notes the seconds of its trace and of its compilation."""

    def __init__(self, function: Any) -> None:
        """`function` has the `lower` of `jax.jit`; it is compiled at its first call."""
        self._function = function
        self._lowered: Any = None
        self._compiled: Any = None
        self.facts: dict[str, float] = {}
        """`trace_s`, `compile_s`, `flops` of one step, `needs_bytes`."""

    def lower(self, *args: Any) -> Any:
        """The traced function; all later arguments have these shapes."""
        if self._lowered is None:
            begun = time.perf_counter()
            self._lowered = self._function.lower(*args)
            self.facts["trace_s"] = time.perf_counter() - begun
            self.facts["flops"] = flops.count(self._function, *args)
        return self._lowered

    def __call__(self, *args: Any) -> Any:
        """Calls it; compiles nothing where another program is traced."""
        if any(isinstance(leaf, jax.core.Tracer) for leaf in jax.tree.leaves(args)):
            return self._function(*args)
        if self._compiled is None:
            lowered = self.lower(*args)
            begun = time.perf_counter()
            self._compiled = lowered.compile()
            self.facts["compile_s"] = time.perf_counter() - begun
            self.facts["needs_bytes"] = _needs(self._compiled.memory_analysis())
        return self._compiled(*args)


def _needs(found: Any) -> float:
    """Memory of a compiled program at its peak, bytes; 0 where it is not told."""
    if not found:
        return 0.0
    held = found.argument_size_in_bytes + found.output_size_in_bytes
    return held + found.temp_size_in_bytes - found.alias_size_in_bytes
