"""Cells in phase contrast by image processing: the row "Vicar" of Fujii et al. 2021.

Restoration, threshold, distance transform; four values are searched on the training
images. Runs on a CPU.

    python -m cellrec_jax.main --config c2c12_vicar --config.data.root=FOLDER

Presets: paper (the default, frames at their own 1040 x 1392 px), published (sparsity
0.5 as Vicar et al. print it) and demo (generated images).

Expect F1@15px 0.65 on usiigaci (nine runs: three seeds of three splits; 87 s), 0.80 and
0.86 on generated round and long cells (three seeds; 58 and 100 s), a tenth of the
labels, two CPU cores, 2026-11-22. The sparsity was chosen on a frame of usiigaci.
"""

from ml_collections import ConfigDict

from cellrec_jax import config as config_lib
from cellrec_jax.methods import vicar

PRESETS = {
    "paper": "phase contrast by image processing, not trained: for a CPU (the default)",
    "published": "the same with sparsity 0.5, as Vicar et al. print it",
    "demo": "the same on generated images",
}


def get_config(preset: str = "") -> ConfigDict:
    config = config_lib.base("vicar", vicar.Options())
    if preset == "published":
        config.model.sparsity = 0.5
    config.total_steps = 1  # nothing is trained
    config.data.size_hw = (1040, 1392)
    config.data.max_cells = 1024
    config.data.keep_rate = 0.1
    config.data.flip = False
    config.eval.radius_px = 15.0
    config.eval.protocol = "nearest"
    config.eval.strict = True
    config.eval.beside = "max"
    config.eval.threshold = 0.5  # keeps every seed
    config.eval.overlay_score = 0.0
    if preset == "demo":
        config.data.synthetic_kind = "hsc"
        config.data.synthetic_hw = (512, 512)
        config.data.synthetic_train = 5
        config.data.synthetic_val = 0
        config.data.synthetic_test = 3
        config.data.size_hw = (512, 512)
    return config
