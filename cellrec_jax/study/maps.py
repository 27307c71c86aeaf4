"""Maps of all decoders of a run, beside what each learns, on its test images."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from etils import epath
import jax
import numpy as np

from cellrec_jax import errors
from cellrec_jax.data import arrays, augment, sets
from cellrec_jax.data.synthetic import cytoplasm
from cellrec_jax.methods import multitask
from cellrec_jax.methods.multitask import targets
from cellrec_jax.types import FIRST, Batch
from cellrec_jax.workdir import model as model_lib


class ImageMaps(NamedTuple):
    """One image, in px of the network."""

    image_id: str
    image: np.ndarray
    """f32 [H, W, C] in [0, 1]."""
    points_yx: np.ndarray
    labels: np.ndarray
    found: Mapping[str, np.ndarray]
    """Decoder, in the order of `Options.decoders` -> f32 [H, W, maps] in [0, 1]."""
    targets: Mapping[str, np.ndarray]
    """Decoder -> circles, polygons, the map of the network that was trained first."""


class Run(NamedTuple):
    """A trained network with all its decoders, and its test images."""

    workdir: epath.Path
    model: model_lib.Model
    split: sets.Split


def open_run(workdir: str) -> Run:
    """Restores a run; UserError without one, or if it has no such decoders."""
    folder = epath.Path(workdir).expanduser()
    meta = model_lib.stored_meta(folder)
    if meta["config"]["method"] != "multitask":
        raise errors.ConfigError(
            f"{workdir}: is of {meta['config']['method']}; give a work directory of "
            "cytoplasm_multitask"
        )
    model = model_lib.restore(folder, whole=True)
    experiment = model.experiment
    split = sets.open_for_evaluation(experiment.data, experiment.seed, whole=False)
    return Run(folder, model, split)


def of(run: Run, image_ids: Sequence[str]) -> Iterator[ImageMaps]:
    """Looks at images of the run's split, one at a time."""
    model, names = run.model, run.model.class_names
    loaded = sets.load_eval(run.split._replace(image_ids=tuple(image_ids)))
    if loaded is None:
        return
    decoders = model.experiment.options.decoders
    look = jax.jit(_looker(model.experiment, len(names)))
    for image_id, batch in zip(
        image_ids, arrays.eval_batches(loaded.images, 1), strict=True
    ):
        batch = augment.prepare_eval(batch)
        found, wanted = jax.device_get(look(model.params, model.model_state, batch))
        real = np.asarray(batch.points_mask[0])
        yield ImageMaps(
            image_id,
            np.asarray(batch.image[0]),
            np.asarray(batch.points_yx[0])[real],
            np.asarray(batch.labels[0])[real],
            {name: found[name][0] for name in decoders},
            {name: wanted[name][0] for name in decoders},
        )


def tissue(run: Run, image_id: str) -> np.ndarray | None:
    """Where the tumour truly is, bool [H, W]; None but of generated cytoplasm."""
    data = run.model.experiment.data
    generated = (data.root, data.synthetic_kind) == ("synthetic", "cytoplasm")
    if not generated or data.synthetic_hw != data.size_hw:
        return None
    index = int(image_id)
    return cytoplasm.tissue_map(data.synthetic_seed, index, size_hw=data.synthetic_hw)


def _looker(experiment: Any, num_classes: int) -> Any:
    """A function of parameters, state and a batch: maps, and what they should be."""
    options = experiment.options

    def look(params: Any, state: Any, batch: Batch) -> tuple[dict, dict]:
        found = multitask.decoder_maps(
            params,
            state,
            batch.image,
            options.decoders,
            options=options,
            num_classes=num_classes,
        )
        wanted = {"main": targets.paint(batch, num_classes, options.loss)}
        if "dynamic" in found:
            rng = jax.random.key(experiment.seed)
            wanted["dynamic"] = targets.paint_polygons(
                batch, rng, num_classes, options.loss
            )
        if "prior" in found:
            first = params[FIRST]
            wanted["prior"] = multitask.prior_map(
                first, batch.image, options, num_classes
            )
        return found, wanted

    return look
