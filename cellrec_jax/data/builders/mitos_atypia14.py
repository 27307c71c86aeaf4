"""TFDS builder of MITOS-ATYPIA-14: mitoses in x40 frames of two scanners, as points.

`tfds build cellrec_jax/data/builders/mitos_atypia14.py --manual_dir=MITOS
--data_dir=OUT`
"""

from typing import Any, ClassVar

import tensorflow_datasets as tfds

from cellrec_jax.data.builders import features
from cellrec_jax.data.readers import mitos

_DESCRIPTION = """
Haematoxylin and eosin stained breast cancer, the same slides from an Aperio and a
Hamamatsu scanner: x40 frames with the centres of mitoses (confidence >= 0.5). The
group of a frame is its slide, whichever scanner saw it.
"""
_CITATION = """
@misc{roux2014mitosatypia,
  title        = {{MITOS-ATYPIA-14}: Detection of mitosis and evaluation of nuclear
                  atypia score in breast cancer histological images},
  author       = {Roux, Ludovic and others},
  howpublished = {Contest at the International Conference on Pattern Recognition (ICPR),
                  https://mitos-atypia-14.grand-challenge.org},
  year         = {2014},
}
"""


class MitosAtypia14(tfds.core.GeneratorBasedBuilder):
    """All annotated frames as the split train; the public test part has no mitoses."""

    VERSION = tfds.core.Version("1.1.0")
    RELEASE_NOTES: ClassVar[dict[str, str]] = {
        "1.1.0": "Size and type of the image beside its pixels.",
        "1.0.0": "First version.",
    }
    MANUAL_DOWNLOAD_INSTRUCTIONS = """
    Register at https://mitos-atypia-14.grand-challenge.org, unpack the training
    archives (A03.zip, H03.zip, ...) beside each other and give their folder as
    --manual_dir.
    """

    _generate_examples = staticmethod(features.generate)

    def _info(self) -> tfds.core.DatasetInfo:
        return features.dataset_info(self, _DESCRIPTION, _CITATION, mitos.CLASS_NAMES)

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> Any:
        source = mitos.open_source(dl_manager.manual_dir)
        return features.split_generators(self, source)
