"""Methods without gradients: fitted, saved, restored and evaluated like the others."""

import dataclasses

import numpy as np
import pytest

from cellrec_jax import config as config_lib
from cellrec_jax import errors, methods, run
from cellrec_jax.data import arrays, sets
from cellrec_jax.io.console import Console
from cellrec_jax.methods import vicar
from cellrec_jax.train import fit
from cellrec_jax.workdir import model as model_lib

SIZE_HW = (64, 80)
CELLS = np.array([[16, 18], [18, 58], [44, 30], [46, 62]], np.float32)


def _image() -> np.ndarray:
    """Dark discs with bright rings, as phase contrast shows cells; [H, W, 1] uint8."""
    y, x = np.meshgrid(*(np.arange(n) + 0.5 for n in SIZE_HW), indexing="ij")
    image = np.full(SIZE_HW, 120.0)
    for py, px in CELLS:
        distance = np.hypot(y - py, x - px)
        image += np.where(distance < 7, -50, 0) + 50 * np.exp(
            -((distance - 8) ** 2) / 2
        )
    return np.clip(image, 0, 255).astype(np.uint8)[..., None]


def _experiment() -> config_lib.Experiment:
    model = vicar.ModelOptions(
        threshold=(0.005, 0.02),
        min_area_px=(20.0,),
        max_hole_px=(0.0,),
        h_px=(0.5, 1.5),
        max_iterations=30,
        max_detections=32,
    )
    return config_lib.Experiment(
        "vicar",
        vicar.Options(model),
        total_steps=1,
        data=config_lib.DataConfig(size_hw=SIZE_HW, max_cells=8, flip=False),
        eval=config_lib.EvalConfig(radius_px=6.0, threshold=0.5, bootstrap=10),
    )


def _data(experiment: config_lib.Experiment) -> sets.Sets:
    source = arrays.from_arrays([_image()] * 2, [CELLS] * 2)
    spec = sets.evaluation_spec(experiment.data)
    first, second = source.image_ids
    return sets.Sets(
        sets.Split(source, (first,), dataclasses.replace(spec, training=True)),
        sets.Split(source, (), spec),
        sets.Split(source, (second,), spec),
        (),
    )


def test_labels_are_not_withheld_where_no_threshold_is_chosen(tmp_path):
    experiment = methods.changed(_experiment(), {"data.threshold_share": 0.5})
    data = _data(experiment)
    with pytest.raises(errors.ConfigError, match=r"threshold_share=0\.5.*vicar"):
        run.train_and_evaluate(
            experiment, tmp_path, data=data._replace(withheld=data.train)
        )


def test_fitted_values_are_saved_and_find_the_cells(tmp_path):
    experiment = _experiment()
    code = run.train_and_evaluate(experiment, tmp_path, data=_data(experiment))
    assert code == 0
    model = model_lib.restore(tmp_path)
    assert float(model.params["threshold"]) in np.float32([0.005, 0.02])
    assert model.step == 1
    metrics = (tmp_path / "results.json").read_text()
    assert '"F1@6px"' in metrics
    found = model.method.predict(
        model.params,
        {},
        arrays.stack([_example(experiment)]),
        model.decode,
    )
    points = np.asarray(found.points_yx[0])[np.asarray(found.mask[0])]
    near = np.linalg.norm(points[:, None] - CELLS[None], axis=-1).min(axis=0)
    assert (near < 6).all()


def _example(experiment: config_lib.Experiment):
    split = _data(experiment).test
    example = sets.prepare(split.source.load(split.image_ids[0]), split.spec)
    return example._replace(image=(example.image / 255).astype(np.float32))


def test_there_are_no_weights_to_start_from(tmp_path):
    experiment = _experiment()
    with pytest.raises(errors.ConfigError, match="leave --init-from out"):
        fit.train(
            experiment,
            methods.build(experiment, 1),
            tmp_path,
            _data(experiment),
            Console(quiet=True),
            tmp_path,
        )
