"""Maps of a trained run are those of its parts."""

import dataclasses

import jax
import numpy as np
import pytest

from cellrec_jax import errors, methods
from cellrec_jax.data import arrays, augment, sets
from cellrec_jax.data.synthetic import cytoplasm
from cellrec_jax.methods import multitask
from cellrec_jax.study import maps
from cellrec_jax.types import Decode
from cellrec_jax.workdir import model as model_lib


@pytest.fixture(scope="module")
def seen(full):
    """The run and what its first test image shows."""
    run = maps.open_run(str(full))
    (one,) = maps.of(run, run.split.image_ids[:1])
    return run, one


@pytest.mark.slow
def test_every_decoder_has_a_map_and_a_target(seen):
    run, one = seen
    assert run.split.image_ids == ("5", "6", "7")
    assert one.image_id == "5"
    assert one.image.shape == (64, 96, 3)
    for shown in (one.found, one.targets):
        sizes = {name: value.shape for name, value in shown.items()}
        assert list(sizes) == ["main", "dynamic", "prior"]
        assert sizes["main"] == sizes["dynamic"] == (64, 96, 2)
        assert sizes["prior"] == (64, 96, 1)


@pytest.mark.slow
def test_the_main_map_is_that_of_detection(seen):
    run, one = seen
    images = sets.load_eval(run.split).images
    batch = augment.prepare_eval(next(arrays.eval_batches(images, 1)))
    model, decode = run.model, Decode(np.zeros(2, np.float32), np.float32(0))
    cells = jax.jit(model.method.predict)(
        model.params, model.model_state, batch, decode
    )
    y, x = np.floor(cells.points_yx[0]).astype(int).T
    heights = one.found["main"][y, x, cells.labels[0]]
    real = np.asarray(cells.mask[0])
    assert real.any()
    np.testing.assert_allclose(heights[real], cells.scores[0][real], atol=1e-5)
    assert heights.max() == pytest.approx(one.found["main"].max())


@pytest.mark.slow
def test_the_priors_target_is_of_the_network_in_its_folder(full, seen):
    _, one = seen
    (folder,) = (full / "prior").iterdir()
    first = model_lib.restore(folder)
    alone = jax.jit(
        lambda params, state, image: multitask.decoder_maps(
            params,
            state,
            image,
            ("main",),
            options=first.experiment.options,
            num_classes=2,
        )["main"][..., :1]
    )
    expected = alone(first.params, first.model_state, one.image[None])
    np.testing.assert_allclose(one.targets["prior"], expected[0], atol=1e-5)


@pytest.mark.slow
def test_targets_are_around_the_cells(seen):
    _, one = seen
    y, x = np.floor(one.points_yx).astype(int).T
    assert len(one.labels) > 3
    for name in ("main", "dynamic"):
        assert (one.targets[name][y, x, one.labels] == 1).all()
    assert (one.targets["main"] != one.targets["dynamic"]).any()


@pytest.mark.slow
def test_tissue_is_the_generators(seen):
    run, one = seen
    expected = cytoplasm.tissue_map(0, 5, size_hw=(64, 96))
    np.testing.assert_array_equal(maps.tissue(run, one.image_id), expected)
    for key, value in (("synthetic_kind", "nuclei"), ("synthetic_hw", (96, 96))):
        changed = methods.changed(run.model.experiment, {f"data.{key}": value})
        other = dataclasses.replace(run.model, experiment=changed)
        assert maps.tissue(run._replace(model=other), "5") is None


def test_other_methods_are_refused(monkeypatch):
    meta = {"config": {"method": "density_map"}}
    monkeypatch.setattr(model_lib, "stored_meta", lambda _: meta)
    with pytest.raises(errors.ConfigError, match="is of density_map"):
        maps.open_run("somewhere")
