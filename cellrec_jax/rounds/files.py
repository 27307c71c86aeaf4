"""Where rounds of pseudo labels keep what they found.

labels/round_0.json ...     given labels, then those of each round; may be edited
rounds/0/labels.json        the labels that round was trained on
rounds/0/seed_0/            checkpoints and metrics of a detector
rounds/0/classifier/        checkpoints of the patch classifier while it trains
rounds/0/peaks.npz          its peaks on the training images
rounds/0/summary.json       what the round found, and how long each stage took

Of several processes the first one writes, and the others wait until it has.
"""

from collections.abc import Mapping
import dataclasses
import io
from typing import Any

from etils import epath
import numpy as np

from cellrec_jax import errors, hosts
from cellrec_jax.data import sets
from cellrec_jax.io import atomic
from cellrec_jax.rounds import labels as round_labels
from cellrec_jax.rounds.candidates import Candidates
from cellrec_jax.rounds.labels import ImageLabels
from cellrec_jax.workdir import writer

NAMES = ("labels", "rounds")
"""The folders of a work directory that they lie in."""


@dataclasses.dataclass(frozen=True)
class RoundFiles:
    """The files of one run's rounds."""

    workdir: epath.Path
    sizes: Mapping[str, tuple[int, int]]
    """(H, W) of each training image on disk, in the set's order."""

    def labels_path(self, number: int) -> epath.Path:
        """Labels that a round trains on."""
        return self.workdir / "labels" / f"round_{number}.json"

    def folder(self, number: int) -> epath.Path:
        """Everything else of a round."""
        return self.workdir / "rounds" / str(number)

    def used_path(self, number: int) -> epath.Path:
        """The labels that a round was begun with."""
        return self.folder(number) / "labels.json"

    def begun(self) -> list[int]:
        """Numbers of the rounds that have a folder."""
        rounds = self.workdir / "rounds"
        names = [path.name for path in rounds.iterdir()] if rounds.is_dir() else []
        return sorted(int(name) for name in names if name.isdecimal())

    def detector(self, number: int, seed: int) -> epath.Path:
        """Checkpoints of one detector of a round; made if needed."""
        path = self.folder(number) / f"seed_{seed}"
        path.mkdir(parents=True, exist_ok=True)
        return path

    def classifier(self, number: int) -> epath.Path:
        """Checkpoints of a round's patch classifier; made if needed."""
        path = self.folder(number) / "classifier"
        path.mkdir(parents=True, exist_ok=True)
        return path

    def latest(self, rounds: int) -> int:
        """The last round that there are labels for, at most `rounds`."""
        found = [t for t in range(rounds + 1) if self.labels_path(t).exists()]
        return max(found, default=0)

    def write_labels(self, number: int, labels: Mapping[str, ImageLabels]) -> None:
        """Writes the labels that a round will train on."""
        place = self.labels_path(number)
        hosts.by_first(
            lambda: round_labels.write(place, number, labels, self.sizes),
            f"labels of round {number}",
        )

    def read_labels(self, number: int) -> dict[str, ImageLabels]:
        """Reads a round's labels, which may have been edited before it began.

        DataError if unusable or without a cell, ConfigError if edited after it began.
        """
        path = self.labels_path(number)
        labels = round_labels.read(path, self.sizes).images
        origins = {origin for image in labels.values() for origin in image.origins}
        if not origins - {round_labels.NEGATIVE}:
            raise errors.DataError(
                f"{path}: no label marks a cell; add one, or delete the file to have "
                "the labels selected anew"
            )
        used = self.used_path(number)
        if used.exists():
            refuse_edits(self.workdir, number)
        else:
            atomic.write_bytes(used, path.read_bytes())
        return labels

    def write_candidates(self, number: int, candidates: Candidates) -> None:
        """Writes a round's peaks, px of the network's images."""
        buffer = io.BytesIO()
        np.savez(buffer, **candidates._asdict())
        place = self.folder(number) / "peaks.npz"
        hosts.by_first(
            lambda: atomic.write_bytes(place, buffer.getvalue()),
            f"peaks of round {number}",
        )

    def read_candidates(self, number: int) -> Candidates | None:
        """Reads a round's peaks; None if there are none."""
        path = self.folder(number) / "peaks.npz"
        if not path.exists():
            return None
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as arrays:
            return Candidates(**{name: arrays[name] for name in Candidates._fields})

    def write_summary(self, number: int, summary: Mapping[str, Any]) -> None:
        """Writes what a round found."""
        place = self.folder(number) / "summary.json"
        hosts.by_first(
            lambda: writer.write_json(place, summary), f"summary of round {number}"
        )

    def read_summaries(self) -> list[dict[str, Any]]:
        """What each round found, from round 0 on."""
        found: list[dict[str, Any]] = []
        while summary := writer.read_json(self.folder(len(found)) / "summary.json"):
            found.append(summary)
        return found


def refuse_edits(workdir: epath.Path, number: int | None = None) -> None:
    """Refuses labels edited after a round (or any) began to train on them.

    ConfigError names them; DataError if a file cannot be read.
    """
    files = RoundFiles(workdir, {})
    for begun in files.begun() if number is None else [number]:
        used, path = files.used_path(begun), files.labels_path(begun)
        both = used.exists() and path.exists()
        if not both or path.read_bytes() == used.read_bytes():
            continue
        sizes = round_labels.read_sizes(used)
        before, after = (round_labels.read(file, sizes).images for file in (used, path))
        changed = round_labels.difference(before, after)
        if changed.added or changed.removed:
            raise errors.ConfigError(
                f"{path}: {changed.added} labels were added and {changed.removed} "
                f"removed after round {begun} had begun; undo that (they were as in "
                f"{used}), or delete rounds/{begun}, labels/round_{begun + 1}.json, "
                f"all later ones of both and {workdir / 'checkpoints'} to train on them"
            )


def given_labels(split: sets.Split, eval_set: sets.EvalSet) -> dict[str, ImageLabels]:
    """The annotations that training keeps, px of the images on disk; DataError if none.

    `eval_set` has the same images as `split`, for their sizes.
    """
    loaded = sets.load_train(split).images
    labels = {}
    for index, image_id in enumerate(split.image_ids):
        kept = np.asarray(loaded.points_mask[index])
        if loaded.trust is not None:
            kept = kept & (np.asarray(loaded.trust[index]) == 1)
        points_yx = np.asarray(loaded.points_yx[index])[kept]
        points_yx = points_yx / eval_set.scale_yx[index][None]
        # Rounding must not move a point over the edge.
        last = np.nextafter(eval_set.native_hw[index].astype(np.float32), np.float32(0))
        labels[image_id] = round_labels.given(np.minimum(points_yx, last[None]))
    return labels
