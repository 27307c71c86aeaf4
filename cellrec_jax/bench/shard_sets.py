"""Prepared sets of generated images, for the benchmark of their batches."""

from collections.abc import Generator, Iterator
import contextlib
import csv
import os
from pathlib import Path
from typing import Any

from cellrec_jax.data import arrays, cell_table, sets, shard_batches
from cellrec_jax.data.builders import __main__ as builders
from cellrec_jax.data.example import ExampleSpec
from cellrec_jax.data.readers import prepared
from cellrec_jax.data.record import Record


def batches(
    records: list[Record], spec: ExampleSpec, batch_size: int, encoding: str, out: Path
) -> Generator[Any, None, None]:
    """Endless training batches of records that are prepared below the folder `out`."""
    folder = out / "folder"
    if not folder.is_dir():
        _write(records, folder)
    with _silent():
        root = builders.build(str(folder), str(out), encoding=encoding)
    source = prepared.open_prepared(root)
    split = sets.Split(source, source.image_ids, spec)
    _, table = cell_table.make(split)
    assert source.shards is not None  # as built
    return shard_batches.train_batches(
        source.shards, source.image_ids, table, spec, arrays.Order(batch_size, 0)
    )


def _write(records: list[Record], folder: Path) -> None:
    from PIL import Image

    for name in ("images", "labels"):
        (folder / name).mkdir(parents=True)
    for number, record in enumerate(records):
        Image.fromarray(record.image).save(folder / "images" / f"{number}.png")
        with open(folder / "labels" / f"{number}.csv", "w", newline="") as file:
            rows = csv.writer(file)
            rows.writerow(["x", "y"])
            rows.writerows(record.points_yx[:, ::-1].tolist())


@contextlib.contextmanager
def _silent() -> Iterator[None]:
    """TFDS tells what it does at length."""
    with (
        open(os.devnull, "w") as nothing,
        contextlib.redirect_stdout(nothing),
        contextlib.redirect_stderr(nothing),
    ):
        yield
