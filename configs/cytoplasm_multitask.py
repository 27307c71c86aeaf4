"""Cells in cytoplasm stains from points, by a network with two auxiliary decoders.

Zhang et al., Weakly Supervised Learning for Cell Recognition in Immunohistochemical
Cytoplasm Staining Images, ISBI 2022: positive tumour cells and all others, one point a
cell.

    python -m cellrec_jax.main --config cytoplasm_multitask --config.data.root=FOLDER

with --config.data.classes=positive=A+B,other=C for a folder of the classes A, B and C.
The default is Ours++ of its Table 1, for a GPU: DeepLabv3+ of a ResNet-101, Adam and
weights of losses as printed; circles of 10 px, polygons, crops of 512 px, 8 a step and
100 epochs are ours. One command trains two networks: the first on circles alone, for
`prior.steps`; its map of class `loss.prior_class` (the first of `data.classes`) is what
the prior decoder of the second learns. Presets, of which two can be joined as
small_ours:
    :demo    generated images, a small network: minutes on two CPU cores
    :small   the same small network for real images on a CPU
and the rows of the table:
    :ours    the main decoder alone
    :dynamic Ours+: random polygons beside it, and consistency
    :full    Ours++: also the prior decoder (the default)
    :fcrn, :fcrn_b  FCRN-A and FCRN-B: linear maps learn 100 x a Gaussian of 6 px. With
             momentum at 1e-2 as published: Adam at 1e-3 moves the output too slowly to
             get to 100 (0.1 of it after 120 steps of :demo_fcrn)
    :estimate_mask  Qu et al. 2020: masks of Voronoi polygons and clusters of colour; a
             ResUNet, of :small and :demo the network of the others. Of partial points:
             --config.masks.points=found, which finds the others first

Expect of :small on generated images of 384 px F1@12px 0.80 of positive cells, 0.90 of
the others, detection 0.97 with any of the three rows (three seeds, 64 test images:
Ours++ less Ours -0.004 [-0.009, +0.001]); of FCRN-A 0.81 and 0.91, of EstimateMask 0.75
and 0.85 (one seed each); in two to four minutes on two CPU cores, 2026-11-30; of :demo
0.64 to 0.71, 0.85 to 0.88 and 0.95 to 0.96 on four images. The paper has 0.774, 0.784
and 0.789 of positive cells for :ours, :dynamic and :full. The default was not trained
to its end.
"""

from ml_collections import ConfigDict

from cellrec_jax import config as config_lib
from cellrec_jax.methods import density_map, estimate_mask, multitask

SIZES = {
    "demo": "generated images: minutes on two cores",
    "small": "a small network, for a CPU and your images",
}
ROWS = {
    "ours": "circles alone: one decoder",
    "dynamic": "circles and random polygons: two decoders",
    "full": "circles, polygons and the tissue's prior: three decoders",
    "fcrn": "the comparison FCRN-A: squared error of linear maps",
    "fcrn_b": "the comparison FCRN-B: squared error of linear maps",
    "estimate_mask": "the comparison EstimateMask: segmented masks",
}
_NETWORKS = {"fcrn": "fcrn_a", "fcrn_b": "fcrn_b"}
_SMALL_WIDTHS = {"deeplab": 96, "fcrn_a": 24, "fcrn_b": 14}
PRESETS = {
    "": "cytoplasm stains from points, three decoders: the paper's, for a GPU",
    **SIZES,
    **ROWS,
    **{f"{a}_{b}": f"{c}, at :{a}" for a in SIZES for b, c in ROWS.items()},
}


def get_config(preset: str = "") -> ConfigDict:
    size, row = "", preset
    if preset.startswith(tuple(SIZES)):
        size, _, row = preset.partition("_")
    if row in _NETWORKS:
        config = config_lib.base("density_map", density_map.Options())
        config.model.network = _NETWORKS[row]
    elif row == "estimate_mask":
        config = config_lib.base("estimate_mask", estimate_mask.Options())
        config.model.network = "deeplab" if size else "res_unet"
    else:
        config = config_lib.base("multitask", multitask.Options())
        config.prior.steps = 70  # 10 epochs
    config.total_steps = 700  # 100 epochs of 56 images
    config.batch_size = 8
    config.compute.dtype = "auto"
    config.data.synthetic_kind = "cytoplasm"  # unless there is a root
    config.data.classes = (
        "positive=tumor_strong+tumor_weak,"
        "other=lookalike+epithelium+macrophage+lymphocyte+stroma"
    )
    config.data.synthetic_hw = (1024, 1024)
    config.data.size_hw = (1024, 1024)
    config.data.crop_hw = (512, 512)
    config.data.turn = True
    config.data.hed_jitter = 0.05
    config.data.max_cells = 1024
    config.model.max_detections = 2048
    config.optim.name = "adam"
    config.optim.learning_rate = 1e-3
    config.optim.weight_decay = 2e-5
    config.optim.schedule = "constant"
    config.checkpoint.every = 100
    config.eval.min_distances = (4.0, 6.0, 8.0, 10.0, 12.0)
    config.eval.strict = True
    config.eval.radii_px = tuple(map(float, range(4, 25, 2)))  # Fig. 3
    config.note = (
        "The paper's setting is for a GPU. On a CPU use "
        "--config cytoplasm_multitask:small for real images, or :demo for a trial."
    )
    if size:
        _small(config)
    if size == "demo":
        _demo(config)
    if row in _NETWORKS:
        _fcrn(config)
    if row == "estimate_mask":
        _estimate_mask(config)
    if row in ("ours", "dynamic"):
        config.loss.prior_weight = 0.0
    if row == "ours":
        config.loss.dynamic_weight = 0.0
        config.loss.consistency_weight = 0.0
    return config


def _fcrn(config: ConfigDict) -> None:
    """The loss and optimiser of the first author's code; clipping is ours."""
    config.loss.form = "squared"
    config.loss.target = "gaussian"
    config.optim.name = "momentum"
    config.optim.learning_rate = 1e-2
    config.optim.clip_norm = 10.0


def _estimate_mask(config: ConfigDict) -> None:
    """A tenth of the learning rate while the dense CRF loss counts, as published."""
    config.optim.schedule = "piecewise"
    config.optim.drops = (config.loss.crf_from,)
    config.detector.steps = config.get_oneway_ref("total_steps")


def _small(config: ConfigDict) -> None:
    """A network of 0.8 to 0.9 M parameters and one decoder, trained on crops."""
    config_lib.for_two_cores(config)
    config.total_steps = 300
    if "prior" in config:
        config.prior.steps = 40  # 10 epochs of 16 images
    config.model.backbone = "small"
    config.model.width = _SMALL_WIDTHS[config.model.network]
    config.model.max_detections = 1000
    config.optim.name = "adam"
    config.checkpoint.every = 100


def _demo(config: ConfigDict) -> None:
    config.total_steps = 120
    if "prior" in config:
        config.prior.steps = 60  # its map is cells more than tissue; faint after 20
    config.model.width //= 2
    config.data.synthetic_hw = (384, 384)
    config.data.synthetic_train = 8
    config.data.synthetic_val = 2
    config.data.synthetic_test = 4
    config.data.size_hw = (384, 384)
    config.data.crop_hw = (192, 192)
    config.checkpoint.every = 40
