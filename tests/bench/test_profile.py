"""Where a program's seconds go."""

import jax
import jax.numpy as jnp
import pytest

from cellrec_jax.bench import profile


@pytest.mark.parametrize(
    ("op_name", "expected"),
    [
        ("jit(step)/jvp(Net)/fpn/conv/mul", ("Net/fpn", "forward")),
        ("jit(step)/transpose(jvp(Net))/fpn/conv/mul", ("Net/fpn", "backward")),
        (
            "jit(f)/vmap(jvp(stage))/while/body/jit(one)/nms/mul",
            ("stage/nms", "forward"),
        ),
        ("jit(f)/transpose(jvp(vmap(a)))/branch_0_fun/b/c/dot", ("a/b", "backward")),
        ("jit(f)/mul", (profile.NO_SCOPE, "forward")),
        ("", (profile.NO_SCOPE, "forward")),
    ],
)
def test_scope(op_name, expected):
    assert profile.scope(op_name) == expected


def test_slow_scopes_come_first():
    @jax.jit
    def run(x):
        with jax.named_scope("slow"):
            y = jax.lax.fori_loop(0, 40, lambda _, y: jnp.tanh(y @ x), x)
        with jax.named_scope("quick"):
            return jnp.sum(jnp.sin(y))

    x = jnp.ones((300, 300))
    text = run.lower(x).compile().as_text()
    run(x).block_until_ready()
    seconds = profile.seconds_of(lambda: run(x).block_until_ready(), text)
    first, *others = profile.by_scope(seconds, text, steps=1)
    assert first["scope"] == "slow"
    assert first["share"] > 0.8
    assert "quick" in {row["scope"] for row in others}
    shares = [row["share"] for row in (first, *others)]
    assert sum(shares) == pytest.approx(1)
    milliseconds = sum(row["forward_ms"] for row in (first, *others))
    assert milliseconds == pytest.approx(sum(seconds.values()) * 1e3)
