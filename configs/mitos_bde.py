"""Boxes Density Energy on MITOS-ATYPIA-14, one annotation an image.

Li et al., A Robust Training Method for Pathological Cellular Detector via Spatial Loss
Calibration, Front. Med. 2021: Table 2 (`data.keep_one`), one of four folds by slide.
Table 1, all annotations: --config.data.keep_one=false.

    python -m cellrec_jax.main --config configs/mitos_bde.py \
        --config.data.root=FOLDER --config.data.fold=0

FOLDER holds the training slides of the Hamamatsu scanner (H03, H04, ...) with their x40
frames, of which the 393 with mitoses are taken; all of them:
--config.data.only_annotated=false. The paper likely began with weights of ImageNet, but
does not say so: --config.model.pretrained=FILE, torchvision's ResNet-50 as .safetensors
or .npz. The default is for a GPU. Presets:
    :small  a small network, crops of frames of 800 x 800 px, for a CPU
    :demo   the same on generated images with a few mitoses among many nuclei

What to expect on MITOS-ATYPIA-14 is not known yet: no run on it was made.
"""

from ml_collections import ConfigDict

from cellrec_jax import config as config_lib
from cellrec_jax.methods import calibrated_rcnn

PRESETS = {
    "": "one mitosis of each image marked: the same paper's, for a GPU",
    "small": "the same with a small network, for a CPU and your images",
    "demo": "the same on generated images of few mitoses: minutes on two cores",
}


def get_config(preset: str = "") -> ConfigDict:
    config = config_lib.base("calibrated_rcnn", calibrated_rcnn.Options())
    config.data.format = "mitos"
    config.data.synthetic_kind = "mitosis"
    config.data.only_annotated = True
    config.compute.dtype = "auto"
    config.data.keep_one = True
    config.model.pre_nms_level = 2000
    config.data.num_folds = 4
    config.data.fold_by = "group"
    config.data.val_share = 0.1
    config.eval.radius_um = 8.0
    config.note = (
        "The paper's setting is for a GPU. On a CPU use "
        "--config configs/mitos_bde.py:small for real images, or :demo for a trial."
    )
    if preset == "":
        return config
    _small(config)
    if preset == "demo":
        config.total_steps = 400
        config.data.num_folds = 0
        config.data.val_share = 0.0
        config.data.format = "auto"
        config.data.synthetic_train = 48
        config.data.synthetic_val = 12
        config.data.synthetic_test = 20
        config.data.synthetic_hw = (384, 384)
        config.data.size_hw = (256, 256)
        config.data.crop_hw = (0, 0)
        config.checkpoint.every = 100
    return config


def _small(config: ConfigDict) -> None:
    """The network of `ki67_bde:small` with smaller anchors, and crops that hold some.

    Of boxes of 32 px on frames of 1663 x 1485 px 16 are left at 800 x 800.
    """
    config_lib.for_two_cores(config)
    config.data.size_hw = (800, 800)
    config.data.crop_hw = (384, 384)
    model = config.model
    model.backbone = "small"
    model.channels = 48
    model.rpn_channels = 64
    model.head_channels = 192
    model.merge = "add"
    model.anchor_sizes = (16.0, 24.0, 32.0, 48.0, 64.0)
    model.anchor_ratios = (1.0,)
    model.rpn_batch = 128
    model.pre_nms_level = 0
    model.pre_nms_train, model.post_nms_train = 1000, 300
    model.pre_nms_test, model.post_nms_test = 1000, 300
    model.roi_batch = 64
    model.max_detections = 50
