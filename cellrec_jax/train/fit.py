"""Runs of methods that are not trained by gradients: `fit`, threshold, checkpoint."""

import time
from typing import Any

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
from cellrec_jax.predict import frame as frames
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
    chooses = not experiment.eval.threshold
    validate.require(
        chooses or data.withheld is None,
        f"data.threshold_share={experiment.data.threshold_share}: method="
        f"{experiment.method} has no threshold to choose: leave it out (or choose one "
        "by --config.eval.threshold=0)",
    )
    begin = time.monotonic()
    loaded = sets.load_train(data.train, console.track)
    seen = loaded.survey
    loop.refuse_doubted(experiment, method, seen)
    for note in loop.notes(experiment, data, seen):
        console.line(note)
    console.line(loop.summary(experiment, data, seen))
    class_names = data.train.source.class_names
    meta = loop.make_meta(experiment, class_names, seen, loaded.look)
    frame = frames.of(experiment, meta, method.traits)
    val_images = (
        fitting.load(experiment, data.fitting, frame, console) if chooses else ()
    )
    assert method.traits.fit is not None  # the caller asked for it
    size_hw, resize = experiment.data.size_hw, experiment.data.resize
    scale = transforms.length_scale(seen.median_hw, size_hw, resize)
    console.line(f"fitting {experiment.method} to {len(data.train.image_ids)} images")
    unit: Any = np.asarray(colors.to_unit(jnp.asarray(loaded.images.image)))
    params, line = method.traits.fit(
        loaded.images._replace(image=unit),
        scale * fitting.radius_px(experiment.eval, seen.mpp),
        console.track,
    )
    console.line(line)
    fresh = start_lib.make_state(experiment, method)
    state = fresh.replace(step=jnp.int32(experiment.total_steps), params=params)
    if val_images:
        choose = fitting.validator(experiment, method, val_images, data.fitting)
        meta["decode"] = fitting.to_json(choose(state)[0])
    manager = checkpoint.open_manager(workdir, experiment.checkpoint)
    checkpoint.save(manager, state, meta)
    manager.wait_until_finished()
    manager.close()
    seconds = round(time.monotonic() - begin, 2)
    return loop.Outcome(jax.device_get(state), meta, 0, {"seconds": seconds})
