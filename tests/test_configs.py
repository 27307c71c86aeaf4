"""Every shipped configuration loads, validates, builds and survives JSON."""

import dataclasses
import json
from pathlib import Path

import jax
import numpy as np
import pytest

from cellrec_jax import config, config_files, errors, methods
from cellrec_jax.config import overrides
from cellrec_jax.methods import multitask, point_matching
from cellrec_jax.methods.compute_options import ComputeOptions
from cellrec_jax.train import optim
from cellrec_jax.types import Batch, Decode

FILES = sorted((Path(__file__).parents[1] / "configs").glob("*.py"))
PRESETS = [
    *(path.stem for path in FILES),
    *(
        "ki67_bde:demo",
        "ki67_bde:small",
        "ki67_bde:demo_paper",
        "ki67_bde:recommended",
        "mitos_bde:demo",
        "mitos_bde:small",
    ),
    *(f"pdl1_point:{name}" for name in ("demo", "small", "p2pnet", "p2pnet_small")),
    "pdl1_point:ki67",
    *(
        *(f"blob_filter:{name}" for name in ("demo", "nuclei", "blood", "phase")),
        "c2c12_vicar:published",
        "c2c12_vicar:demo",
        "c2c12_pseudo:demo",
        "c2c12_pseudo:small",
        "c2c12_pseudo:small_narrow",
        "c2c12_pseudo:small_yang",
        "c2c12_pseudo:small_yang_wide",
        "c2c12_pseudo:mean_teacher",
    ),
    *(
        f"cytoplasm_multitask:{name}"
        for name in (
            *("demo", "small", "ours", "dynamic", "full", "small_ours"),
            *("small_dynamic", "small_full", "estimate_mask"),
            *("small_estimate_mask", "demo_estimate_mask"),
        )
    ),
    *(
        f"cytoplasm_multitask:{name}"
        for name in ("fcrn", "fcrn_b", "small_fcrn", "small_fcrn_b", "demo_fcrn")
    ),
]
ONE_CLASS = ("heatmap_pu", "vicar")
SMALL_ROWS = [
    "pdl1_point:p2pnet_small",
    *("pdl1_map:small_fcrn_a", "pdl1_map:small_fcrn_b", "pdl1_map:small_unet"),
    *("pdl1_map:small_res_unet", "pdl1_map:small_deeplab", "pdl1_map:small_circles"),
    "pdl1_map:small_multitask",
]


@pytest.mark.parametrize("name", PRESETS)
def test_config_builds_and_survives_json(name):
    experiment = methods.freeze(config_files.load(name))
    stored = json.loads(json.dumps(config.to_json(experiment)))
    assert methods.from_json(stored) == experiment
    method, params, state = _build(experiment)
    batch = Batch(
        image=_shape(1, 64, 64, 3),
        image_mask=_shape(1, dtype=bool),
        points_yx=_shape(1, 5, 2),
        labels=_shape(1, 5, dtype=np.int32),
        points_mask=_shape(1, 5, dtype=bool),
        boxes_yxyx=_shape(1, 5, 4),
        valid=_shape(1, 64, 64, dtype=bool),
        example_index=_shape(1, dtype=np.int32),
    )
    if method.traits.fit is None:  # else it is not traced
        num = _num_classes(experiment)
        decode = Decode(_shape(num), _shape())
        found = jax.eval_shape(method.predict, params, state, batch, decode)
        assert found.class_probs.shape == (*found.scores.shape, num)


@pytest.mark.parametrize("name", PRESETS)
def test_those_for_a_gpu_compute_in_half_precision_there(name):
    experiment = methods.freeze(config_files.load(name))
    if experiment.method not in ("blob_filter", "vicar"):
        expected = "auto" if "for a GPU" in experiment.note else "float32"
        assert experiment.options.compute.dtype == expected


def _num_classes(experiment):
    refine = getattr(experiment.options, "refine", None)
    in_rounds = refine is not None and refine.rounds > 0
    return 1 if experiment.method in ONE_CLASS or in_rounds else 2


def _build(experiment):
    """Method and shapes of its weights; computes nothing."""
    method = methods.build(experiment, num_classes=_num_classes(experiment))
    image = _shape(1, 64, 64, 3)
    return method, *jax.eval_shape(method.init, jax.random.key(0), image)


def _shape(*sizes, dtype=np.float32):
    return jax.ShapeDtypeStruct(sizes, dtype)


def _num_parameters(name):
    """Of what predicts; a decoder that only teaches does not count."""
    method, params, _ = _build(methods.freeze(config_files.load(name)))
    names = method.traits.predicts or params
    return sum(leaf.size for n in names for leaf in jax.tree.leaves(params[n]))


def test_small_rows_of_one_table_are_of_about_one_size():
    ours = _num_parameters("pdl1_point:small_group")
    for name in SMALL_ROWS:
        assert 0.8 < _num_parameters(name) / ours < 1.2, name


def test_small_rows_of_one_table_are_trained_alike():
    ours = methods.freeze(config_files.load("pdl1_point:small_group"))
    for name in SMALL_ROWS:
        row = methods.freeze(config_files.load(name))
        for part in ("total_steps", "batch_size", "data"):
            assert getattr(row, part) == getattr(ours, part), name


def test_every_preset_that_is_listed_loads():
    listed = config_files.shipped()
    assert set(PRESETS) - set(listed) == {"pdl1_map", "c2c12_vicar"}  # their defaults
    assert set(SMALL_ROWS) < set(listed)
    for name, what in listed.items():
        assert what, name
        methods.freeze(config_files.load(name))


def test_a_config_of_the_users_need_not_list_its_presets(tmp_path):
    path = tmp_path / "mine.py"
    shipped = FILES[0].with_name("ki67_bde.py").read_text()
    path.write_text(shipped.replace("PRESETS", "OTHERS"))
    assert config_files.load(f"{path}:small").model.backbone == "small"


@pytest.mark.parametrize("name", ["pdl1_point", "pdl1_map"])
def test_unknown_presets_name_the_known_ones(name):
    with pytest.raises(errors.ConfigError, match=r"no preset :huge; there are .*small"):
        config_files.load(f"{name}:huge")


def test_the_papers_setting():
    experiment = methods.freeze(config_files.load("ki67_bde"))
    assert experiment.total_steps == 10_000
    assert experiment.data.size_hw == (800, 800)
    assert experiment.data.keep_rate == 0.1
    assert experiment.options.model.backbone == "resnet50"
    assert experiment.options.loss.calibration == "bde"
    data = experiment.data
    assert (data.num_folds, data.fold_by) == (3, "image")
    mitos = methods.freeze(config_files.load("mitos_bde"))
    assert (mitos.data.keep_one, mitos.data.only_annotated) == (True, True)
    assert (mitos.data.num_folds, mitos.data.fold_by) == (4, "group")
    assert mitos.options == experiment.options


@pytest.mark.parametrize("preset", ["small", "demo"])
def test_small_presets_take_the_folders_own_splits(preset):
    """Those of generated images are theirs, too; MITOS-ATYPIA-14 has none."""
    ours, plain = (
        methods.freeze(config_files.load(f"ki67_bde:{preset}")).data,
        config.DataConfig(),
    )
    for key in ("num_folds", "fold_by", "val_share"):
        assert getattr(ours, key) == getattr(plain, key)
    mitos = methods.freeze(config_files.load(f"mitos_bde:{preset}")).data
    assert mitos.num_folds == {"small": 4, "demo": 0}[preset]


@pytest.mark.parametrize("name", ["small_", "plain_small"])
def test_unknown_presets_of_pseudo_labels_are_refused(name):
    with pytest.raises(
        errors.ConfigError, match=rf"no preset :{name}; there are .*demo"
    ):
        config_files.load(f"c2c12_pseudo:{name}")


def test_the_papers_setting_of_pseudo_labels():
    experiment = methods.freeze(config_files.load("c2c12_pseudo"))
    optim, refine = experiment.optim, experiment.options.refine
    assert (optim.name, optim.learning_rate, optim.schedule) == (
        "adam",
        1e-3,
        "constant",
    )
    assert (experiment.batch_size, experiment.total_steps) == (2, 30 * 10 // 2)
    assert experiment.data.keep_rate == 0.1
    loss, model = experiment.options.loss, experiment.options.model
    assert (loss.form, loss.sigma_px, loss.radius_px) == ("masked", 6.0, 12.0)
    assert (model.width, model.peak_rule, model.window_px) == (
        64,
        "relative",
        6,
    )
    assert (refine.rounds, refine.seeds_per_round) == (2, 5)
    assert (refine.network, refine.patch_px, refine.match_px) == ("alexnet", 27, 15.0)
    assert (refine.epochs, refine.batch_size, refine.learning_rate) == (200, 4000, 1e-4)
    assert (refine.estimator, refine.surrogate) == ("clip", "logistic")
    assert (refine.p, refine.ridge, refine.moved_share) == (4.0, 0.1, 0.2)
    assert (refine.top_share, refine.bottom_share, refine.pooled) == (0.05, 0.05, True)
    measured = experiment.eval
    assert (measured.radius_px, measured.strict, measured.protocol) == (
        15.0,
        True,
        "nearest",
    )
    assert measured.threshold == 128 / 255


def test_both_classifiers_of_patches_read_them_alike():
    """Of ours and of Yang et al.: every option that a patch or a peak has."""
    ours, yang = (
        methods.freeze(config_files.load(f"c2c12_pseudo:{name}")).options.judging
        for name in ("small", "small_yang_wide")
    )
    differ = {"rounds": 0, "prior_rule": "penl1"}
    assert dataclasses.replace(ours, **differ) == yang


def test_the_papers_setting_of_points():
    experiment = methods.freeze(config_files.load("pdl1_point"))
    assert experiment.total_steps * experiment.batch_size == 200 * 388
    assert experiment.data.size_hw == (1080, 1920)
    assert experiment.data.keep_rate == 1.0
    assert experiment.data.scale_jitter > 0
    optim = experiment.optim
    assert (optim.name, optim.schedule) == ("adamw", "constant")
    assert (optim.learning_rate, optim.weight_decay) == (1e-4, 1e-4)
    assert experiment.eval.radius_px == 12.0
    assert experiment.eval.threshold == 0.5
    assert experiment.options == point_matching.Options(
        point_matching.ModelOptions(max_detections=2048),
        compute=ComputeOptions(dtype="auto"),
    )


def test_the_papers_setting_of_cytoplasm_stains():
    experiment = methods.freeze(config_files.load("cytoplasm_multitask"))
    optim, options = experiment.optim, experiment.options
    assert (optim.name, optim.learning_rate, optim.schedule) == (
        "adam",
        1e-3,
        "constant",
    )
    assert (optim.momentum, optim.weight_decay) == (0.9, 2e-5)
    assert experiment.total_steps * experiment.batch_size == 100 * 56
    assert options.prior.steps * experiment.batch_size == 10 * 56
    assert (options.model.network, options.model.backbone) == ("deeplab", "resnet101")
    assert experiment.eval.strict
    assert experiment.data.crop_hw == (512, 512)
    assert experiment.options.loss == multitask.LossOptions()
    assert config_files.load("cytoplasm_multitask:full") == config_files.load(
        "cytoplasm_multitask"
    )


@pytest.mark.parametrize("size", ["", "small_"])
def test_the_map_of_three_decoders_is_the_method_of_cytoplasm_stains(size):
    """As it is there, on the images and by the steps of the other maps."""
    row, rivals, cytoplasm = (
        methods.freeze(config_files.load(name))
        for name in (
            f"pdl1_map:{size}multitask",
            f"pdl1_map:{size}circles",
            f"cytoplasm_multitask:{size}full",
        )
    )
    assert row.options.decoders == ("main", "dynamic", "prior")
    assert (row.method, row.options.loss) == ("multitask", cytoplasm.options.loss)
    assert row.optim == cytoplasm.optim
    for part in ("total_steps", "batch_size", "data", "eval"):
        assert getattr(row, part) == getattr(rivals, part), part
    model, rival = row.options.model, rivals.options.model
    for part in ("network", "width", "backbone", "max_detections"):
        assert getattr(model, part) == getattr(rival, part), part


def test_circles_alone_are_the_main_decoder_of_three():
    loss = methods.freeze(config_files.load("pdl1_map:circles")).options.loss
    main_decoder = multitask.LossOptions()
    assert (loss.target, loss.radius_px) == ("disc", main_decoder.radius_px)
    for name in ("bce_weight", "iou_weight", "iou_form"):
        assert getattr(loss, name) == getattr(main_decoder, name), name


def test_rows_of_cytoplasm_stains_differ_by_their_decoders_alone():
    rows = {
        name: methods.freeze(config_files.load(f"cytoplasm_multitask:small_{name}"))
        for name in ("ours", "dynamic", "full")
    }
    decoders = {name: row.options.decoders for name, row in rows.items()}
    assert decoders == {
        "ours": ("main",),
        "dynamic": ("main", "dynamic"),
        "full": ("main", "dynamic", "prior"),
    }
    weights = ("dynamic", "consistency", "prior")
    for row in rows.values():
        values = {f"loss.{w}_weight": 0.0 for w in weights}
        assert methods.changed(row, values) == rows["ours"]


@pytest.mark.parametrize("size", ["", "small_", "demo_"])
@pytest.mark.parametrize(("row", "network"), [("fcrn", "fcrn_a"), ("fcrn_b", "fcrn_b")])
def test_fcrn_on_cytoplasm_stains_is_as_published_on_equal_terms(size, row, network):
    ours = methods.freeze(config_files.load(f"cytoplasm_multitask:{size}ours"))
    other = methods.freeze(config_files.load(f"cytoplasm_multitask:{size}{row}"))
    for part in ("total_steps", "batch_size", "data", "eval"):
        assert getattr(other, part) == getattr(ours, part), part
    assert (other.optim.name, other.optim.learning_rate) == ("momentum", 1e-2)
    assert other.optim.schedule == ours.optim.schedule
    model, loss = other.options.model, other.options.loss
    assert (other.method, model.network) == ("density_map", network)
    assert model.max_detections == ours.options.model.max_detections
    assert (loss.form, loss.target, loss.height) == ("squared", "gaussian", 100.0)


def test_small_rows_of_cytoplasm_stains_are_of_about_one_size():
    ours = _num_parameters("cytoplasm_multitask:small_ours")
    for row in ("fcrn", "fcrn_b", "estimate_mask"):
        assert 0.8 < _num_parameters(f"cytoplasm_multitask:small_{row}") / ours < 1.2


@pytest.mark.parametrize("name", ["ki67_bde", "mitos_bde"])
def test_pretrained_weights_bring_the_papers_norm_and_stem(name):
    settings = config_files.load(name)
    overrides.override(settings, "model.pretrained", "resnet50.npz")
    options = methods.freeze(settings).options.model
    assert (options.norm_kind, options.stem_is_frozen) == ("frozen_batch", True)


def test_the_schedule_follows_an_overridden_length():
    settings = config_files.load("ki67_bde")
    overrides.override(settings, "total_steps", "100")
    experiment = methods.freeze(settings)
    schedule = optim.make_schedule(experiment.optim, experiment.total_steps)
    np.testing.assert_allclose(
        [schedule(49), schedule(51), schedule(76)], [1e-3, 1e-4, 1e-5], rtol=1e-5
    )


@pytest.mark.parametrize(("own", "steps"), [({}, 50), ({"detector.steps": "20"}, 20)])
def test_a_detector_trains_as_long_as_the_network_unless_told(own, steps):
    settings = config_files.load("cytoplasm_multitask:small_estimate_mask")
    for key, text in {**own, "total_steps": "50"}.items():
        overrides.override(settings, key, text)
    experiment = methods.freeze(settings)
    assert (experiment.total_steps, experiment.options.detector.steps) == (50, steps)


@pytest.mark.parametrize("name", ["pdl1_point", "pdl1_map", "pdl1_point:small"])
def test_without_a_root_points_have_the_four_classes_of_pd_l1(name):
    data = methods.freeze(config_files.load(name)).data
    assert (data.root, data.classes) == ("synthetic", "")
    assert data.synthetic_kind == "membrane"
    assert data.synthetic_hw == data.size_hw
