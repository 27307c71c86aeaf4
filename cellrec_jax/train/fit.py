"""Runs of methods that are not trained by gradients: their `fit`, then a checkpoint."""

import time

from etils import epath
import jax
import jax.numpy as jnp
import numpy as np

from cellrec_jax.config import Experiment
from cellrec_jax.config import limits as validate
from cellrec_jax.data import sets, transforms
from cellrec_jax.data.pixels import colors
from cellrec_jax.evaluate import fitting
from cellrec_jax.io.console import Console
from cellrec_jax.train import loop
from cellrec_jax.train import start as start_lib
from cellrec_jax.types import Method
from cellrec_jax.workdir import checkpoint


def train(
    experiment: Experiment,
    method: Method,
    workdir: epath.Path,
    data: sets.Sets,
    console: Console,
    init_from: epath.Path | None = None,
) -> loop.Outcome:
    """Fits a method as `loop.train` (no `init_from`); saves it as at total_steps."""
    validate.require(
        init_from is None,
        f"method={experiment.method} starts from no weights: leave --init-from out",
    )
    validate.require(
        data.withheld is None,
        f"data.threshold_share={experiment.data.threshold_share}: method="
        f"{experiment.method} has no threshold to choose: leave it out",
    )
    begin = time.monotonic()
    loaded = sets.load_train(data.train, console.track)
    seen = loaded.survey
    loop.refuse_doubted(experiment, method, seen)
    for note in loop.notes(experiment, data, seen):
        console.line(note)
    console.line(loop.summary(experiment, data, seen))
    class_names = data.train.source.class_names
    assert method.traits.fit is not None  # the caller asked for it
    config = experiment.data
    scale = transforms.length_scale(seen.median_hw, config.size_hw, config.resize)
    console.line(f"fitting {experiment.method} to {len(data.train.image_ids)} images")
    params, line = method.traits.fit(
        np.asarray(colors.to_unit(jnp.asarray(loaded.images.image))),
        loaded.images.points_yx,
        loaded.images.points_mask,
        loaded.images.valid,
        scale * fitting.radius_px(experiment.eval, seen.mpp),
        console.track,
    )
    console.line(line)
    fresh = start_lib.make_state(experiment, method)
    state = fresh.replace(step=jnp.int32(experiment.total_steps), params=params)
    meta = loop.make_meta(experiment, class_names, seen, loaded.look)
    manager = checkpoint.open_manager(workdir, experiment.checkpoint)
    checkpoint.save(manager, state, meta)
    manager.wait_until_finished()
    manager.close()
    seconds = round(time.monotonic() - begin, 2)
    return loop.Outcome(jax.device_get(state), meta, 0, {"seconds": seconds})
