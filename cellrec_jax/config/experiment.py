"""Every shared option in one place, and the way from a config file to dataclasses.

Imports neither jax nor tensorflow. A config file calls `base(method, options)` and sets
what differs; the command line overrides single keys (`overrides`); `freeze` turns the
result into frozen dataclasses, which is all that the rest of the package sees.
"""

from collections.abc import Mapping
import dataclasses
from typing import TYPE_CHECKING, Any

from cellrec_jax import errors
from cellrec_jax.config import limits as validate

if TYPE_CHECKING:
    from ml_collections import ConfigDict


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
    train_ids: str = ""
    """Images to train on: "0-15", "a,b" or "train/*"; if no split is named, the
    folder's own splits are taken, or a random one is drawn and printed."""
    val_ids: str = ""
    """Images that choose the score threshold."""
    test_ids: str = ""
    """Images to report on."""
    num_folds: int = 0
    """k of k-fold cross-validation; 0 is none."""
    fold: int = 0
    """Fold to test on, 0..num_folds-1."""
    fold_by: str = "group"
    """What stays together in a fold: group (slide or patient) or image."""
    loader: str = "auto"
    """arrays (in memory, no TensorFlow), tf (tf.data), or auto (arrays if they fit)."""
    device_mib: int = 2048
    """Training images are held on the device, or else in memory, up to this size."""
    size_hw: tuple[int, int] = (800, 800)
    """Size that images are resized to, px."""
    resize: str = "squeeze"
    """squeeze (both sides, as the BDE paper) or pad (keep the aspect ratio)."""
    crop_hw: tuple[int, int] = (0, 0)
    """Random training crop, px after the resize; (0, 0) takes whole images."""
    max_cells: int = 256
    """Slots for annotated cells of an image."""
    box_size: float = 32.0
    """Side of the boxes around points, px of the image as it is on disk."""
    boxes: str = "auto"
    """auto (the set's own boxes where it has them, else boxes of box_size around its
    points), points (always the latter) or annotated (always the former)."""
    intensity: str = "auto"
    """Scaling of 16-bit images: auto, percentile or full."""
    keep_rate: float = 1.0
    """Share of each training image's annotations that is kept."""
    keep_one: bool = False
    """Keep one annotation of each training image."""
    keep_seed: int = 0
    """Draws which annotations are kept."""
    flip_labels: float = 0.0
    """Share of each training image's cells that get a wrong class, in [0, 1]."""
    jitter_px: float = 0.0
    """Radius of the disc in which each training cell's centre is moved at random, px of
    the image as it is on disk."""
    corrupt_seed: int = 0
    """Draws which cells get a wrong class, and where centres are moved."""
    val_share: float = 0.0
    """Share of each fold's training images that chooses the threshold instead."""
    mpp: float = 0.0
    """Micrometres per px, if the files do not say; 0 is unknown."""
    flip: bool = True
    """Random flips in training."""
    turn: bool = False
    """Random quarter turns in training."""
    hed_jitter: float = 0.0
    """Random change of the stains' densities, in [0, 1)."""
    scale_jitter: float = 0.0
    """Random change of the training crop's size before it is resized, in [0, 1)."""
    brightness: float = 0.0
    contrast: float = 0.0
    synthetic_kind: str = "nuclei"
    """What is generated: nuclei (Ki-67, two classes), membrane (PD-L1, four), or
    phase contrast with one class: c2c12 (elongated cells), hsc (round and dark) or
    hsc_bright (the same by negative contrast)."""
    synthetic_train: int = 16
    """Generated training images."""
    synthetic_val: int = 4
    synthetic_test: int = 8
    synthetic_seed: int = 0
    """Draws the generated images; equal for all runs that are to be compared."""
    synthetic_hw: tuple[int, int] = (640, 640)
    """Size of generated images, px."""


@dataclasses.dataclass(frozen=True)
class OptimConfig:
    """Optimiser and schedule."""

    name: str = "momentum"
    """momentum, adam or adamw."""
    learning_rate: float = 1e-3
    momentum: float = 0.9
    weight_decay: float = 1e-4
    """L2 on kernels for momentum and adam, decoupled for adamw."""
    schedule: str = "piecewise"
    """piecewise, cosine or constant."""
    drops: tuple[float, ...] = (0.5, 0.75)
    """Shares of total_steps at which a piecewise schedule divides by 10."""
    warmup_steps: int = 0
    clip_norm: float = 0.0
    """Largest global gradient norm; 0 does not clip."""
    ema: float = 0.0
    """Decay of averaged parameters, used for evaluation; 0 is none."""


@dataclasses.dataclass(frozen=True)
class EvalConfig:
    """What is measured, and when."""

    every: int = 0
    """Steps between evaluations on the validation images; 0: only at the end."""
    batch_size: int = 1
    radius_px: float = 12.0
    """A detection within this distance of a cell is right; px of the image on disk."""
    radius_um: float = 0.0
    """The same in micrometres, instead of radius_px; 0 is off."""
    threshold: float = 0.0
    """Least score of a detection of any class; 0 fits it on the validation images."""
    shared_threshold: bool = False
    """Fit one threshold of all classes, by detection whatever the class, in place of
    one for each: for methods whose score says cell or not, and for rare classes."""
    min_distances: tuple[float, ...] = (0.0,)
    """Least distances of two detections that are tried on the validation images, px of
    the image on disk; 0 keeps all."""
    min_distances_um: tuple[float, ...] = ()
    """The same in micrometres, instead of min_distances; none is off."""
    protocol: str = "max"
    """Which pairs within the radius count: max (as many as can be), hungarian (by least
    distance, then the radius), nearest or greedy_score; see `metrics.matching`."""
    strict: bool = False
    """A pair counts below the radius, not at it."""
    beside: str = ""
    """A second protocol, reported beside the first as NAME(protocol)@radius; empty is
    none."""
    iou: float = 0.5
    """Overlap above which a box is right (AP)."""
    voc_plus_one: bool = False
    """Measure boxes as VOC did, one pixel wider."""
    weights: str = "last"
    """Report on the last weights (the paper) or the best on validation images."""
    bootstrap: int = 1000
    """Resamples of the images behind each interval."""
    overlay_score: float = 0.6
    """Least score drawn, 0.6 as in the paper's figures; 0 is the fitted threshold."""
    overlays: int = 4
    """Test images drawn."""


@dataclasses.dataclass(frozen=True)
class RefineConfig:
    """Rounds of pseudo labels, for methods that have them.

    The defaults are those of Fujii et al. 2021 and their code, but for `rounds`,
    `seeds_per_round` and `solver`. Distances are in px of the network's images.
    """

    rounds: int = 0
    """Times that pseudo labels are added and the detector is trained anew; 0 is none
    (the paper takes 2)."""
    seeds_per_round: int = 1
    """Detectors trained in each round, with seeds of their own from seed *
    seeds_per_round on; the one that finds most peaks on the training images is kept
    (the paper's code takes 5). Without rounds or a classifier of peaks it is one."""
    warm_start: bool = False
    """Start each round's detector from the last one's weights, not anew."""
    carry_over: bool = True
    """Keep peaks of the last round that have no new peak within match_px."""
    candidate_threshold: float = 0.0
    """Least score of a peak that may become a label; 0 takes that of detections (the
    code), which leaves out the cells that the detector misses."""
    match_px: float = 15.0
    """Largest distance of a peak and the label that it matches."""
    network: str = "alexnet"
    """Feature extractor of patches: alexnet or small (see `nn.patch_net`)."""
    patch_px: int = 27
    """Side of a patch."""
    patch_step: int = 1
    """Side of the squares that a patch is read as, by their means; patch_px is a
    multiple of it. Not in the paper; for cells that are larger than its patches."""
    patch_border: str = "shift"
    """What a patch at the border of its image is: shift (moved inside, so that its peak
    is not in the middle; the code) or reflect (mirrored past the border)."""
    patch_values: str = "share"
    """share (of the image's largest value; the code) or standard (deviations from the
    image's mean, in standard deviations, so that images of unlike light compare)."""
    turns: bool = False
    """Learn each patch in any of its eight orientations, and rank by the mean features
    of all of them. Not in the paper; for few labels, or cells that lie in any
    direction."""
    epochs: int = 200
    """Of the feature extractor."""
    batch_size: int = 4000
    """Patches a step of the feature extractor."""
    learning_rate: float = 1e-4
    weight_decay: float = 0.005
    prior_rule: str = "fixed"
    """fixed (all labelled and unlabeled_share of the unlabelled peaks, as a share of
    all peaks: the code) or penl1 (the share of cells among the unlabelled peaks,
    estimated; du Plessis et al. 2015)."""
    unlabeled_share: float = 0.5
    """Share of the unlabelled peaks that the fixed rule takes for cells."""
    prior: float = 0.0
    """Prior of the patch classifier's risk, in (0, 1), which is unbiased by the share
    of cells among the unlabelled peaks; 0 follows prior_rule."""
    estimator: str = "clip"
    """clip (the code), non_negative or unbiased; see `losses.pu`."""
    surrogate: str = "logistic"
    """logistic (the code) or sigmoid (Kiryo et al.); see `losses.surrogates`."""
    p: float = 4.0
    """P-classification: how much the top of the list counts, at least 1. The paper
    prints exp(f) for exp(p f), which ranks as p = 1 with sqrt(p) times the ridge."""
    ridge: float = 0.1
    solver: str = "lbfgs"
    """lbfgs, or sgd as the code (which stops far from the optimum)."""
    moved_share: float = 0.2
    """Share of unlabelled peaks, best first, that joins the positives when negatives
    are ranked; 0 as the paper prints it."""
    top_share: float = 0.05
    """alpha: share of the unlabelled peaks that become pseudo-positive a round."""
    bottom_share: float = 0.05
    """beta: share of the unlabelled peaks that become pseudo-negative a round."""
    pooled: bool = True
    """Select among the peaks of all images together, else image by image."""
    pause: bool = False
    """Stop after each selection, for a person to edit the labels of the next round."""


@dataclasses.dataclass(frozen=True)
class CheckpointConfig:
    """When the state is saved."""

    every: int = 500
    keep: int = 3
    """Latest checkpoints kept, besides the best."""
    asynchronous: bool = False
    """Save while training goes on."""


@dataclasses.dataclass(frozen=True)
class LogConfig:
    """How often figures are written and shown."""

    every: int = 20
    """Steps between lines of metrics.jsonl."""
    seconds: float = 5.0
    """Seconds between lines on a console that is no terminal."""


@dataclasses.dataclass(frozen=True)
class Experiment:
    """One experiment: everything that a run depends on."""

    method: str = "calibrated_rcnn"
    seed: int = 0
    total_steps: int = 10_000
    batch_size: int = 1
    """Images a step, over all devices."""
    note: str = ""
    """What a CPU user should know before starting (shown once)."""
    model: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    loss: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    data: DataConfig = DataConfig()
    optim: OptimConfig = OptimConfig()
    eval: EvalConfig = EvalConfig()
    refine: RefineConfig = RefineConfig()
    checkpoint: CheckpointConfig = CheckpointConfig()
    log: LogConfig = LogConfig()


_SECTIONS = {
    "data": DataConfig,
    "optim": OptimConfig,
    "eval": EvalConfig,
    "refine": RefineConfig,
    "checkpoint": CheckpointConfig,
    "log": LogConfig,
}
MAY_CHANGE = (
    "eval",
    "log",
    "checkpoint",
    "note",
    "data.loader",
    "data.device_mib",
    "refine.pause",
)
"""Keys that a resumed run may change: they do not alter the training. But `eval` does
until rounds of pseudo labels are done: it makes the detections they choose among. More
rounds may be added, see `workdir.directory`."""


def base(method: str, options: Any) -> "ConfigDict":
    """Defaults of a method's experiment, locked against unknown keys.

    Args:
      method: its name in `methods.METHODS`.
      options: its `Options`, with fields `model` and `loss`.

    Returns:
      A ConfigDict with the fields of `Experiment`.
    """
    # Imported here: everything but config files works without the package.
    from ml_collections import ConfigDict

    config = ConfigDict(dataclasses.asdict(Experiment(method=method)))
    config.model = ConfigDict(dataclasses.asdict(options.model))
    config.loss = ConfigDict(dataclasses.asdict(options.loss))
    return config.lock()


def for_two_cores(config: "ConfigDict") -> None:
    """Sets a run that two CPU cores finish in minutes: few steps, crops of 256 px.

    The network is the caller's to shrink. Rows of one table then differ in it alone.

    Args:
      config: from `base`; changed in place.
    """
    config.note = ""
    config.total_steps = 600
    config.batch_size = 4
    config.data.synthetic_hw = (640, 640)
    config.data.size_hw = (640, 640)
    config.data.crop_hw = (256, 256)
    config.data.scale_jitter = 0.0
    config.data.turn = True
    config.data.hed_jitter = 0.05
    config.optim.name = "adamw"
    config.optim.learning_rate = 1e-3
    config.optim.schedule = "cosine"
    config.optim.warmup_steps = 50
    config.optim.clip_norm = 10.0
    config.checkpoint.every = 200
    config.eval.overlay_score = 0.0  # the fitted threshold


def freeze(config: "ConfigDict") -> Experiment:
    """Turns a finished ConfigDict into frozen dataclasses and validates it.

    Raises:
      ConfigError: for impossible combinations, naming the key.
    """
    fields = config.to_dict()
    for name, section in _SECTIONS.items():
        fields[name] = section(**fields[name])
    experiment = Experiment(**fields)
    validate.validate(experiment)
    return experiment


def to_json(experiment: Experiment) -> dict[str, Any]:
    """All fields as nested dictionaries; tuples stay, JSON writes them as lists."""
    return dataclasses.asdict(experiment)


def from_json(fields: Mapping[str, Any]) -> Experiment:
    """Inverse of `to_json`, for configurations stored with a run.

    What an older version did not have gets its default.

    Raises:
      ConfigError: if a field is unknown, as one of another version would be.
    """
    plain = _tuples(fields)
    try:
        parts = {
            name: section(**plain.get(name, {})) for name, section in _SECTIONS.items()
        }
        return Experiment(**{**plain, **parts})
    except TypeError as error:
        raise errors.ConfigError(
            f"stored configuration does not fit this version of cellrec_jax ({error})"
        ) from error


def _tuples(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _tuples(item) for key, item in value.items()}
    return tuple(map(_tuples, value)) if isinstance(value, list) else value
