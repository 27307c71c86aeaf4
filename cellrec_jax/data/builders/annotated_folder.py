"""TFDS builder of any folder that `data.readers` can read.

`python -m cellrec_jax.data.builders FOLDER OUT` runs it. So does `tfds build
cellrec_jax/data/builders/annotated_folder.py --manual_dir=FOLDER --data_dir=OUT
[--config=FORMAT_ENCODING]`, where FORMAT is a name of `data.readers.FORMATS` or auto,
and ENCODING jpeg or raw; without it, and `_`, pixels are PNG. Give each folder an OUT
of its own.
"""

import dataclasses
import os
from typing import Any, ClassVar

import tensorflow_datasets as tfds

from cellrec_jax.data import readers
from cellrec_jax.data.builders import features
from cellrec_jax.data.builders.encodings import ENCODINGS

FOLDER = "folder"
"""Key of the set's metadata: the folder it was prepared from."""
_DESCRIPTION = "Images with annotated cells, prepared from a folder by cellrec-jax."


@dataclasses.dataclass(eq=False)
class FolderConfig(tfds.core.BuilderConfig):
    """How a folder is read, and its pixels are stored."""

    format: str = "auto"
    encoding: str = "png"


def config_name(format: str, encoding: str) -> str:
    """Name of the config, and of the set's folder."""
    return format if encoding == "png" else f"{format}_{encoding}"


_CONFIGS = {
    (name := config_name(format, encoding)): FolderConfig(
        name=name,
        description=f"data.format={format}, pixels as {encoding}",
        format=format,
        encoding=encoding,
    )
    for format in ("auto", *readers.FORMATS)
    for encoding in ENCODINGS
}


class AnnotatedFolder(tfds.core.GeneratorBasedBuilder):
    """Splits train, validation and test of the folder, or all as train."""

    VERSION = tfds.core.Version("1.1.0")
    RELEASE_NOTES: ClassVar[dict[str, str]] = {
        "1.1.0": "Size and type of the image beside its pixels; JPEG, raw.",
        "1.0.0": "First version.",
    }
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
        return features.dataset_info(
            self, _DESCRIPTION, "", None, self.builder_config.encoding
        )

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> Any:
        chosen = self.builder_config
        source = readers.open_source(dl_manager.manual_dir, chosen.format)
        self.info.features["labels"].feature.names = list(source.class_names)
        self.info.metadata[FOLDER] = os.path.abspath(dl_manager.manual_dir)
        return features.split_generators(self, source, chosen.encoding)
