"""A trace of training steps of the published detector, for ui.perfetto.dev.

The first steps, which compile, are left out. Without `full` a tiny network is traced.
"""

from pathlib import Path
import time

import jax

from cellrec_jax.bench import experiments
from cellrec_jax.bench import steps as steps_lib
from cellrec_jax.bench import train as train_lib
from cellrec_jax.bench.report import Report, Say, Settings

STEPS = 20
FOLDER = Path("runs/trace")
"""Where the trace goes if nothing else is said."""


def run(settings: Settings, say: Say) -> Report:
    """Traces `steps` steps of `batch_size` images into the folder `trace`."""
    folder, number = settings.trace or FOLDER, settings.steps or STEPS
    dtype = experiments.chosen(settings.presets, steps_lib.DTYPES)[0]
    experiment = steps_lib.experiment(dtype, settings.full)
    batch = settings.batch_size or steps_lib.BATCHES[0]
    say(f"trace: {dtype}, batch {batch}")
    training = train_lib.begin(experiment, batch)
    advance, batch = training.advance, training.batch_size
    advance(1)
    advance(1)
    options = jax.profiler.ProfileOptions()
    options.python_tracer_level = 0  # its events would hide all else
    begun = time.perf_counter()
    with jax.profiler.trace(
        folder, create_perfetto_trace=True, profiler_options=options
    ):
        advance(number)
        seconds = time.perf_counter() - begun
    found = sorted(folder.rglob("perfetto_trace.json.gz"))
    row = {
        "dtype": dtype,
        "batch": batch,
        "steps": number,
        "step_ms": seconds / number * 1e3,
        "file": str(found[-1].relative_to(folder)),
        "file_mib": found[-1].stat().st_size / 2**20,
    }
    return Report((row,), (f"open {found[-1]} at https://ui.perfetto.dev",))
