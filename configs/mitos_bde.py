"""Boxes Density Energy on MITOS-ATYPIA-14, one annotation an image.

Li et al., A Robust Training Method for Pathological Cellular Detector via Spatial Loss
Calibration, Front. Med. 2021: Table 2 (`data.keep_one`), one of four folds by slide.
Table 1, all annotations: --config.data.keep_one=false.

    python -m cellrec_jax.main --config configs/mitos_bde.py \
        --config.data.root=FOLDER --config.data.fold=0

FOLDER holds the training slides of the Hamamatsu scanner (H03, H04, ...) with their x40
frames. For a GPU; the presets of `ki67_bde.py` show sizes that suit a CPU.

What to expect is not known yet: no run of it was made.
"""

from ml_collections import ConfigDict

from cellrec_jax import config as config_lib
from cellrec_jax.methods import calibrated_rcnn

PRESETS = {"": "one mitosis of each image marked: the same paper's, for a GPU"}


def get_config(preset: str = "") -> ConfigDict:
    del preset  # there is one
    config = config_lib.base("calibrated_rcnn", calibrated_rcnn.Options())
    config.data.format = "mitos"
    config.compute.dtype = "auto"
    config.data.keep_one = True
    config.model.pre_nms_level = 2000
    config.data.num_folds = 4
    config.data.fold_by = "group"
    config.data.val_share = 0.1
    config.eval.radius_um = 8.0
    config.note = (
        "The paper's setting is for a GPU. On a CPU try configs/ki67_bde.py:small with "
        "--config.data.format=mitos --config.data.classes=mitosis."
    )
    return config
