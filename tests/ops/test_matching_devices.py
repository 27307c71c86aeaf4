import subprocess
import sys

import pytest

FIFTY_STEPS = """
import sys

import jax

jax.config.update("jax_num_cpu_devices", 4)
jax.config.update("jax_enable_x64", sys.argv[2] == "float64")

import jax.numpy as jnp
import numpy as np

from cellrec_jax.ops import matching

num_proposals, kind = int(sys.argv[1]), sys.argv[2]
rng = np.random.default_rng(0)
lead = (4, 2)  # devices, images of each
points = rng.uniform(0, 1000, (*lead, num_proposals, 2)).astype(kind)
objectness = rng.uniform(0, 1, (*lead, num_proposals)).astype(kind)
probs = rng.dirichlet(np.ones(4), (*lead, num_proposals)).astype(kind)
cells = rng.uniform(0, 1000, (*lead, 300, 2)).astype(kind)
labels = rng.integers(0, 4, (*lead, 300)).astype(np.int32)
mask = np.ones((*lead, 300), bool)


def step(shift, points, objectness, probs, cells, labels, mask):
    moved = points + shift
    found = matching.match(
        moved, objectness, probs, cells, labels, mask, backend="host"
    )
    near = jnp.take_along_axis(moved, found.proposal_idx[..., None], axis=1)
    return shift + jax.lax.pmean(jnp.mean(cells - near), "devices")


stepper = jax.pmap(step, "devices", in_axes=(None, *[0] * 6), out_axes=None)
shift = jnp.zeros((), kind)
for _ in range(50):
    before = shift
    shift = stepper(shift, points, objectness, probs, cells, labels, mask)
    # As training does. With 32 steps under way, those that wait to be launched take all
    # threads, and the last device of a collective gets none (jax 0.10.1).
    jax.block_until_ready(before)
assert np.isfinite(shift)
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("num_proposals", "kind"),
    [(5120, "float32"), (10_200, "float32"), (14_000, "float64")],
)
def test_callbacks_of_four_devices_do_not_wait_for_each_other(num_proposals, kind):
    """Arguments of 102,400 bytes or more would hang here within a few steps."""
    command = [sys.executable, "-c", FIFTY_STEPS, str(num_proposals), kind]
    done = subprocess.run(
        command, timeout=300, stderr=subprocess.PIPE, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
