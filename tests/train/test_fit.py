"""Methods without gradients: fitted, saved, restored and evaluated like the others."""

import dataclasses
import json

import numpy as np
import pytest

from cellrec_jax import config as config_lib
from cellrec_jax import errors, methods, run
from cellrec_jax.data import arrays, sets
from cellrec_jax.io.console import Console
from cellrec_jax.methods import blob_filter, vicar
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


def _discs(light: int) -> tuple[np.ndarray, np.ndarray]:
    """24 dark discs in rows; [H, W, 3] uint8 and their centres."""
    centers = np.mgrid[12:84:24, 12:192:24].reshape(2, -1).T + 0.5
    y, x = np.mgrid[:84, :204] + 0.5
    image = np.full((84, 204, 3), 230, np.uint8)
    for cy, cx in centers:
        image[np.hypot(y - cy, x - cx) <= 6] = light
    return image, centers.astype(np.float32)


def test_a_threshold_of_0_is_fitted_on_validation_images(tmp_path):
    """Cells of training images are darker, so that by its default none is found."""
    dark, faint = _discs(60), _discs(180)
    source = arrays.from_arrays([dark[0], faint[0]], [dark[1], faint[1]])
    experiment = config_lib.Experiment(
        "blob_filter",
        blob_filter.Options(),
        total_steps=1,
        data=config_lib.DataConfig(size_hw=(84, 204), box_size=12.0),
        eval=config_lib.EvalConfig(radius_px=6.0, bootstrap=10, threshold=0.0),
    )
    spec = sets.evaluation_spec(experiment.data)
    first, second = source.image_ids
    train = sets.Split(source, (first,), dataclasses.replace(spec, training=True))
    other = sets.Split(source, (second,), spec)
    data = sets.Sets(train, other, other, ())
    assert run.train_and_evaluate(experiment, tmp_path, data=data) == 0
    decode = model_lib.restore(tmp_path).meta["decode"]
    assert decode["num_labels"] == [24]
    assert 0 < decode["thresholds"][0] < 0.5
    results = json.loads((tmp_path / "results.json").read_text())
    assert results["metrics"]["F1@6px"]["value"] == 1.0
    # A threshold that is given needs no validation, also afterwards.
    given = methods.changed(experiment, {"eval.threshold": 0.5})
    assert run.train_and_evaluate(given, tmp_path, data=data) == 0
    results = json.loads((tmp_path / "results.json").read_text())
    assert results["metrics"]["recall@6px"]["value"] == 0.0
