"""Cell recognition by regressed maps: the rivals of matched points.

The baselines of Table 1 of Shui et al., End-to-end cell recognition by point
annotation, MICCAI 2022, under one loss: 0.8 cross entropy + 0.2 IoU of one map
a class; and Zhang et al.'s method with its own.

    python -m cellrec_jax.main --config pdl1_map:unet --config.data.root=FOLDER

Presets: fcrn_a, fcrn_b, unet (the default), res_unet, deeplab (ResNet-101), circles
and multitask at published size; each with `small_` in front for real images on a CPU,
with 0.8 to 0.9 million parameters that predict. circles is deeplab that learns filled
circles in place of bumps: the main decoder of Zhang et al.'s network alone. multitask
is all of it (`cytoplasm_multitask`): three decoders, of which one predicts, its weights
of losses, Adam at 1e-3, and a first network that is trained for 10 epochs (small: 80
steps). Its prior is the map of class `loss.prior_class`: the first one, positive tumour
cells.

Expect on 26 images of BCData, two classes, detection F1@12px (three seeds, 95 % t
interval) and seconds of training on two shared CPU cores, 2026-11-22: small_fcrn_b
0.844 +- 0.012 (4,347 s), small_unet 0.840 +- 0.018 (893), small_fcrn_a 0.835 +- 0.015
(2,544), small_circles 0.825 +- 0.005 (596), small_res_unet 0.820 +- 0.035 (4,402),
small_deeplab 0.810 +- 0.017 (469); 2026-11-30 small_multitask 0.815 +- 0.049 (922): no
more than circles. Published sizes were not trained.
"""

from ml_collections import ConfigDict

from cellrec_jax import config as config_lib
from cellrec_jax.methods import density_map, multitask

NETWORKS = {
    "unet": "all cells marked, regressed maps: U-Net",
    "fcrn_a": "the same with FCRN-A",
    "fcrn_b": "the same with FCRN-B",
    "res_unet": "the same with a residual U-Net",
    "deeplab": "the same with DeepLabv3+, of a ResNet-101",
    "circles": "the same with filled circles in place of bumps",
    "multitask": "circles, polygons and the tissue's prior: Zhang et al.'s decoders",
}
PRESETS = {
    **{name: f"{what}, for a GPU" for name, what in NETWORKS.items()},
    **{f"small_{name}": f"{what}, for a CPU" for name, what in NETWORKS.items()},
}
_SMALL_WIDTHS = {"fcrn_a": 24, "fcrn_b": 14, "unet": 16, "res_unet": 16, "deeplab": 96}


def get_config(preset: str = "") -> ConfigDict:
    preset = preset or "unet"
    name = preset.removeprefix("small_")
    if name == "multitask":
        config = config_lib.base("multitask", multitask.Options())
        config.prior.steps = 485  # 10 epochs
    else:
        config = config_lib.base("density_map", density_map.Options())
        config.model.network = "deeplab" if name == "circles" else name
    if name == "circles":
        config.loss.target = "disc"
        config.loss.iou_form = "dice"
    config.total_steps = 9_700  # 200 epochs of 388 images
    config.batch_size = 8
    config.compute.dtype = "auto"
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
        _small(config)
    if name == "multitask":
        config.optim.name = "adam"
        config.optim.learning_rate = 1e-3
        config.optim.weight_decay = 2e-5
    return config


def _small(config: ConfigDict) -> None:
    """A network of 0.8 to 0.9 M parameters, trained on crops, for two CPU cores."""
    config_lib.for_two_cores(config)
    if "prior" in config:
        config.prior.steps = 80
    config.model.max_detections = 1000
    config.model.width = _SMALL_WIDTHS[config.model.network]
    config.model.backbone = "small"
