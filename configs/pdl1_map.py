"""Cell recognition by regressed maps: the rivals of matched points.

The baselines of Table 1 of Shui et al., End-to-end cell recognition by point
annotation, MICCAI 2022, under one loss: 0.8 cross entropy + 0.2 IoU of one map
a class.

    python -m cellrec_jax.main --config pdl1_map:unet --config.data.root=FOLDER

Presets: fcrn_a, fcrn_b, unet (the default), res_unet, deeplab (ResNet-101) and
multitask at published size; each with `small_` in front for real images on a CPU, with
0.8 to 0.9 million parameters. multitask is the main decoder of Zhang et al.'s network
alone: filled circles in place of bumps.

Expect on 26 images of BCData, two classes, detection F1@12px (three seeds, 95 % t
interval) and seconds of training on two shared CPU cores, 2026-11-22: small_fcrn_b
0.844 +- 0.012 (4,347 s), small_unet 0.840 +- 0.018 (893), small_fcrn_a 0.835 +- 0.015
(2,544), small_multitask 0.825 +- 0.005 (596), small_res_unet 0.820 +- 0.035 (4,402),
small_deeplab 0.810 +- 0.017 (469). Published sizes were not trained.
"""

from ml_collections import ConfigDict

from cellrec_jax import config as config_lib
from cellrec_jax.methods import density_map

NETWORKS = {
    "unet": "all cells marked, regressed maps: U-Net",
    "fcrn_a": "the same with FCRN-A",
    "fcrn_b": "the same with FCRN-B",
    "res_unet": "the same with a residual U-Net",
    "deeplab": "the same with DeepLabv3+, of a ResNet-101",
    "multitask": "the same with filled circles, the main decoder of Zhang et al.",
}
PRESETS = {
    **{name: f"{what}, for a GPU" for name, what in NETWORKS.items()},
    **{f"small_{name}": f"{what}, for a CPU" for name, what in NETWORKS.items()},
}
_SMALL_WIDTHS = {"fcrn_a": 24, "fcrn_b": 14, "unet": 16, "res_unet": 16, "deeplab": 96}


def get_config(preset: str = "") -> ConfigDict:
    preset = preset or "unet"
    name = preset.removeprefix("small_")
    config = config_lib.base("density_map", density_map.Options())
    config.model.network = "deeplab" if name == "multitask" else name
    if name == "multitask":
        config.loss.target = "disc"
        config.loss.iou_form = "dice"
    config.total_steps = 9_700  # 200 epochs of 388 images
    config.batch_size = 8
    config.data.synthetic_kind = "membrane"  # unless there is a root
    config.data.synthetic_hw = (1080, 1920)
    config.data.size_hw = (1080, 1920)
    config.data.crop_hw = (512, 512)
    config.data.scale_jitter = 0.25
    config.data.max_cells = 1024
    config.model.max_detections = 4096  # before peaks of the same cell are thinned
    config.optim.name = "adamw"
    config.optim.learning_rate = 1e-4
    config.optim.weight_decay = 1e-4
    config.optim.schedule = "constant"
    config.eval.min_distances = (4.0, 6.0, 8.0, 10.0, 12.0)
    config.eval.shared_threshold = True
    config.note = (
        "This setting is for a GPU. On a CPU use "
        f"--config configs/pdl1_map.py:small_{name} for real images."
    )
    if preset != name:
        config_lib.for_two_cores(config)
        config.model.max_detections = 1000
        config.model.width = _SMALL_WIDTHS[config.model.network]
        config.model.backbone = "small"
    return config
