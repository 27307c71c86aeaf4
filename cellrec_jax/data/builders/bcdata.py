"""TFDS builder of BCData: Ki-67 positive and negative tumour cells as points.

tfds build cellrec_jax/data/builders/bcdata.py --manual_dir=BCDATA --data_dir=OUT
"""

from typing import Any, ClassVar

import tensorflow_datasets as tfds

from cellrec_jax.data.builders import features
from cellrec_jax.data.readers import bcdata

_DESCRIPTION = """
Ki-67 stained breast cancer: 1,338 images of 640 x 640 px with the centres of 181,074
positive and negative tumour cells.
"""
_CITATION = """
@inproceedings{huang2020bcdata,
  title     = {{BCData}: A Large-Scale Dataset and Benchmark for Cell Detection and
               Counting},
  author    = {Huang, Zhongyi and Ding, Yao and Song, Guoli and Wang, Lin and
               Geng, Ruizhe and He, Hongliang and Du, Shan and Liu, Xia and
               Tian, Yonghong and Liang, Yongsheng and Zhou, S. Kevin and Chen, Jie},
  booktitle = {Medical Image Computing and Computer Assisted Intervention (MICCAI)},
  year      = {2020},
}
"""


class Bcdata(tfds.core.GeneratorBasedBuilder):
    """Splits train, validation and test of the folder, or all as train."""

    VERSION = tfds.core.Version("1.1.0")
    RELEASE_NOTES: ClassVar[dict[str, str]] = {
        "1.1.0": "Size and type of the image beside its pixels.",
        "1.0.0": "First version.",
    }
    MANUAL_DOWNLOAD_INSTRUCTIONS = """
    Get BCData from https://sites.google.com/view/bcdataset, unpack it and give the
    folder that holds `images` and `annotations` as --manual_dir.
    """

    _generate_examples = staticmethod(features.generate)

    def _info(self) -> tfds.core.DatasetInfo:
        return features.dataset_info(self, _DESCRIPTION, _CITATION, bcdata.CLASS_NAMES)

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> Any:
        source = bcdata.open_source(dl_manager.manual_dir)
        return features.split_generators(self, source)
