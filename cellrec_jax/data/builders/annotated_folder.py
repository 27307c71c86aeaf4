"""TFDS builder of any folder that `data.readers` can read.

`tfds build cellrec_jax/data/builders/annotated_folder.py --manual_dir=FOLDER
--data_dir=OUT [--config=FORMAT] [--file_format=array_record]`: FORMAT is a name of
`data.readers.FORMATS`, found if missing. Give each folder an OUT of its own.
"""

from typing import Any, ClassVar

import tensorflow_datasets as tfds

from cellrec_jax.data import readers
from cellrec_jax.data.builders import features

_DESCRIPTION = "Images with annotated cells, prepared from a folder by cellrec-jax."
_CONFIGS = {
    name: tfds.core.BuilderConfig(name=name, description=f"data.format={name}")
    for name in ("auto", *readers.FORMATS)
}


class AnnotatedFolder(tfds.core.GeneratorBasedBuilder):
    """Splits train, validation and test of the folder, or all as train."""

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES: ClassVar[dict[str, str]] = {"1.0.0": "First version."}
    MANUAL_DOWNLOAD_INSTRUCTIONS = """
    Give the folder of images and annotations as --manual_dir.
    """
    # Without --config, `tfds build` makes every config listed here: so this is one.
    BUILDER_CONFIGS: ClassVar[list[tfds.core.BuilderConfig]] = [_CONFIGS["auto"]]
    # With --config it looks here.
    builder_configs = _CONFIGS

    _generate_examples = staticmethod(features.generate)

    def _info(self) -> tfds.core.DatasetInfo:
        # The folder, and so the classes, are known in `_split_generators` only.
        return features.dataset_info(self, _DESCRIPTION, "", None)

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> Any:
        source = readers.open_source(dl_manager.manual_dir, self.builder_config.name)
        self.info.features["labels"].feature.names = list(source.class_names)
        return features.split_generators(self, source)
