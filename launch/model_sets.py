"""Makes the training set of the shipped model `nuclei` of two published ones.

    python launch/model_sets.py --nucls FOLDER --dsb FOLDER_OR_TAR --output runs/nuclei

NuCLS (crops of 256 x 256 px with points, CC0) and the purple images of the Data
Science Bowl 2018 (320 x 256 px with masks, CC0) become one class and one folder, images
as they are. Ids begin with nucls-train-, nucls-test- and dsb-K-, K in 0 to 9 a part
drawn by --seed that can be held out: --config.data.test_ids='dsb-3-*'.
"""

import argparse
import csv
from pathlib import Path
import tarfile
import tempfile

from etils import epath
import numpy as np
from PIL import Image

from cellrec_jax.data import readers
from cellrec_jax.io import atomic

PARTS = 10


def main() -> None:
    """Writes the set, whole or not at all."""
    flags = _flags()
    with (
        tempfile.TemporaryDirectory() as scratch,
        atomic.atomic_folder(flags.output) as output,
    ):
        for name in ("images", "labels"):
            (output / name).mkdir()
        nucls = readers.open_source(epath.Path(flags.nucls), "auto")
        for image_id in nucls.image_ids:
            split, name = image_id.split("/")[0], image_id.split("/")[-1]
            add(nucls, image_id, output, f"nucls-{split}-{name}")
        dsb = readers.open_source(_unpacked(flags.dsb, Path(scratch)), "auto")
        order = np.random.default_rng(flags.seed).permutation(len(dsb.image_ids))
        for place, index in enumerate(order.tolist()):
            image_id = dsb.image_ids[index]
            add(
                dsb, image_id, output, f"dsb-{place % PARTS}-{Path(image_id).name[:12]}"
            )
    print(f"{flags.output}: {len(list((flags.output / 'images').iterdir()))} images")


def add(source: readers.Source, image_id: str, output: epath.Path, name: str) -> None:
    """One image and its cells, of one class."""
    record = source.load(image_id)
    Image.fromarray(record.image).save(output / "images" / f"{name}.png")
    with (output / "labels" / f"{name}.csv").open("w") as stream:
        rows = csv.writer(stream, lineterminator="\n")
        rows.writerow(("x", "y", "class"))
        for y, x in np.round(record.points_yx, 2).tolist():
            rows.writerow((x, y, "nucleus"))


def _unpacked(place: str, scratch: Path) -> epath.Path:
    """The folder itself, or the contents of the tar in it."""
    path = Path(place)
    archives = sorted(path.glob("*.tar")) if path.is_dir() else [path]
    for archive in archives:
        with tarfile.open(archive) as tar:
            tar.extractall(scratch, filter="data")
    return epath.Path(scratch if archives else path)


def _flags() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--nucls", required=True, help="folder with train/ and test/")
    parser.add_argument(
        "--dsb", required=True, help="folder of purple images, ID/images, or its tar"
    )
    parser.add_argument("--output", type=epath.Path, required=True)
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


if __name__ == "__main__":
    main()
