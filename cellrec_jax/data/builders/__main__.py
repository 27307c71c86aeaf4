"""Prepares an annotated folder as TFRecord shards, a TFDS set, to train from disk.

The sets of `tfds build`, without the packages that this command needs.
"""

import argparse
from collections.abc import Sequence
import os
import sys

from cellrec_jax import errors
from cellrec_jax.data import readers
from cellrec_jax.data.builders.encodings import ENCODINGS


def build(folder: str, out: str, format: str = "auto", encoding: str = "png") -> str:
    """Prepares a folder below `out`; the folder of the set, for `data.root`.

    A set of this folder that is there already is kept as it is, one of another is a
    `DataError`; others are those of the reader and of `encodings.encode`.
    """
    import tensorflow_datasets as tfds

    from cellrec_jax.data.builders import annotated_folder
    from cellrec_jax.data.pipeline import import_tensorflow

    import_tensorflow()
    name = annotated_folder.config_name(format, encoding)
    builder = annotated_folder.AnnotatedFolder(data_dir=out, config=name)
    place = os.fspath(builder.data_dir)
    if builder.is_prepared():
        before = builder.info.metadata.get(annotated_folder.FOLDER)
        if before != os.path.abspath(folder):
            raise errors.DataError(
                f"{place} is of {before}, not of {folder}: give each an OUT of its own"
            )
        sys.stderr.write(f"{place} is kept as it was: remove it to prepare it anew\n")
        return place
    builder.download_and_prepare(
        download_config=tfds.download.DownloadConfig(manual_dir=folder)
    )
    return place


def main(arguments: Sequence[str] | None = None) -> int:
    """Reads the command line; its exit code, after an error of one line 2."""
    parser = argparse.ArgumentParser(
        "python -m cellrec_jax.data.builders", description=__doc__
    )
    parser.add_argument("folder", help="images and annotations")
    parser.add_argument("out", help="where the set is put; one for each folder")
    parser.add_argument("--format", default="auto", choices=("auto", *readers.FORMATS))
    parser.add_argument("--encoding", default="png", choices=ENCODINGS)
    chosen = parser.parse_args(arguments)
    try:
        found = build(chosen.folder, chosen.out, chosen.format, chosen.encoding)
    except (errors.UserError, OSError) as error:
        sys.stderr.write(f"error: {error}\n")
        return errors.UserError.exit_code
    sys.stdout.write(f"train on it with --config.data.root={found}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
