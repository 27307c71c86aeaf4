"""Which images, and how they become training examples."""

import dataclasses

from cellrec_jax.config import domain
from cellrec_jax.config.limits import (
    check,
    option,
    require,
    require_pixel_size,
    text,
)

KINDS = ("nuclei", "membrane", "cytoplasm", "mitosis", "c2c12", "hsc", "hsc_bright")
"""Of generated images."""


@dataclasses.dataclass(frozen=True)
class DataConfig:
    """Which images, and how they become training examples."""

    root: str = "synthetic"
    """Folder of images and annotations, a prepared TFDS set (`NAME` or its folder),
    or "synthetic" for generated images."""
    format: str = "auto"
    """Annotation format; auto looks at the folder (see `data.readers`)."""
    classes: str = ""
    """Classes to use, as "name=a+b,other=c"; "" takes those of the set."""
    ignore_classes: str = ""
    """Classes of the set, as "a,b", whose cells count neither as cells nor as
    background, within half of box_size."""
    train_ids: str = ""
    """Images to train on: "0-15", "a,b" or "train/*"; if no split is named, the
    folder's own splits are taken, or a random one is drawn and printed."""
    val_ids: str = ""
    """Images that choose the score threshold."""
    test_ids: str = ""
    """Images to report on."""
    only_annotated: bool = False
    """Leave out images without an annotated cell, of all splits and folds."""
    num_folds: int = 0
    """k of k-fold cross-validation; 0 is none."""
    fold: int = 0
    """Fold to test on, 0..num_folds-1."""
    fold_by: str = option("group", choices=("group", "image"))
    """What stays together in a fold: group (slide or patient) or image; tiles of a
    slide always do."""
    loader: str = option("auto", choices=("auto", "arrays", "tf"))
    """arrays (in memory, no TensorFlow), tf (tf.data), or auto (arrays if they fit)."""
    device_mib: int = option(2048, above=0)
    """Training images are held on the device, or else in memory, up to this size: 4
    bytes a px, 13 where they have 16 bits."""
    size_hw: tuple[int, int] = (800, 800)
    """Size that images are resized to, px, and that tiles of slides have."""
    resize: str = option("squeeze", choices=("squeeze", "pad"))
    """squeeze (both sides, as the BDE paper) or pad (keep the aspect ratio)."""
    crop_hw: tuple[int, int] = (0, 0)
    """Random training crop, px after the resize; (0, 0) takes whole images."""
    max_cells: int = option(256, above=0)
    """Slots for annotated cells of an image."""
    box_size: float = option(32.0, above=0)
    """Side of the boxes around points, px of the image as it is on disk."""
    boxes: str = option("auto", choices=("auto", "points", "annotated"))
    """auto (the set's own boxes where it has them, else boxes of box_size around its
    points), points (always the latter) or annotated (always the former)."""
    intensity: str = option("auto", choices=("auto", "percentile", "full"))
    """Scaling of 16-bit images: auto, percentile or full."""
    keep_rate: float = option(
        1.0,
        above=0,
        most=1,
        hint="0.1 keeps a tenth of the annotations; for one an image use "
        "--config.data.keep_one=true",
    )
    """Share of each training image's annotations that is kept."""
    keep_one: bool = False
    """Keep one annotation of each training image."""
    keep_seed: int = option(0, least=0)
    """Draws which annotations are kept."""
    threshold_share: float = option(0.0, least=0, below=1)
    """Share of each training image's annotations that is withheld from training and
    chooses the threshold, in place of validation images; within half of box_size of
    them nothing is learnt."""
    val_keep_rate: float = option(1.0, above=0, most=1)
    """Share of each validation image's annotations that is kept, drawn as by keep_rate:
    what thresholds cost where validation images are annotated in part."""
    marked_share: float = option(
        1.0, least=0, most=1, hint="0 is a part of which the share is not known"
    )
    """Share of all cells that annotations mark, a random part of them, of images that
    choose the threshold or are reported on: 1 are all, 0 a part of unknown share. Below
    1 what is reported is estimated; see `metrics.partial`."""
    flip_labels: float = option(
        0.0, least=0, most=1, hint="0.2 gives a fifth of the cells a wrong class"
    )
    """Share of each training image's cells that get a wrong class, in [0, 1]."""
    jitter_px: float = option(0.0, least=0)
    """Radius of the disc in which each training cell's centre is moved at random, px of
    the image as it is on disk."""
    corrupt_seed: int = option(0, least=0)
    """Draws which cells get a wrong class, and where centres are moved."""
    val_share: float = option(0.0, least=0, below=1)
    """Share of each fold's training images that chooses the threshold instead."""
    mpp: float = option(0.0, least=0)
    """Micrometres per px of all images, 0.02 to 20; 0 is what their files say. Tiles of
    slides are read at it, at 0 at that of the coarsest slide."""
    flip: bool = True
    """Random flips in training."""
    turn: bool = False
    """Random quarter turns in training."""
    hed_jitter: float = option(0.0, least=0, below=1)
    """Random change of the stains' densities, in [0, 1)."""
    scale_jitter: float = option(0.0, least=0, below=1)
    """Random change of the training crop's size before it is resized, in [0, 1)."""
    brightness: float = option(0.0, least=0, below=1)
    contrast: float = option(0.0, least=0, below=1)
    synthetic_kind: str = option("nuclei", choices=KINDS)
    """What is generated: nuclei (Ki-67, two classes), membrane (PD-L1, four),
    cytoplasm (brown tumour cells and look-alikes, seven), mitosis (H&E, one class: few
    among many nuclei), or phase contrast with one class: c2c12 (elongated cells), hsc
    (round and dark) or hsc_bright (the same by negative contrast)."""
    synthetic_domain: str = ""
    """What of generated nuclei varies more than in one lab's slides: "all", or
    "all,-NAME", or names by commas: stains, scanner, scale, shapes, crowding, focus,
    stroma, lookalikes."""
    synthetic_train: int = option(16, above=0)
    """Generated training images."""
    synthetic_val: int = option(4, least=0)
    synthetic_test: int = option(8, least=0)
    synthetic_seed: int = option(0, least=0)
    """Draws the generated images; equal for all runs that are to be compared."""
    synthetic_hw: tuple[int, int] = (640, 640)
    """Size of generated images, px."""

    def __post_init__(self) -> None:
        check("data", self)
        if domain.knobs(self.synthetic_domain):
            domain.require_nuclei(self.synthetic_kind, self.synthetic_domain)
        if self.mpp:
            require_pixel_size("config.data.mpp", self.mpp)
        for key, least in (("size_hw", 1), ("crop_hw", 0), ("synthetic_hw", 32)):
            pair = getattr(self, key)
            require(
                len(pair) == 2 and min(pair) >= least,
                f"data.{key}={pair} must be height,width of at least {least}",
            )
        if any(self.crop_hw):
            sides = zip(self.crop_hw, self.size_hw, strict=True)
            require(
                all(0 < crop <= side for crop, side in sides),
                f"data.crop_hw={text(self.crop_hw)} must fit into "
                f"data.size_hw={text(self.size_hw)}; 0,0 takes whole images",
            )
        if self.num_folds:
            require(
                self.num_folds >= 2 and 0 <= self.fold < self.num_folds,
                f"data.fold={self.fold} must be in 0..{self.num_folds - 1} "
                f"(data.num_folds={self.num_folds}, at least 2)",
            )
            require(
                not (self.train_ids or self.val_ids or self.test_ids),
                "data.num_folds and data.*_ids exclude each other: drop one, folds by "
                "--config.data.num_folds=0",
            )
