"""What the values of a configuration may be; imports neither jax nor tensorflow."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from cellrec_jax import errors

if TYPE_CHECKING:
    from cellrec_jax.config import Experiment

_POSITIVE = (
    "total_steps",
    "batch_size",
    "data.max_cells",
    "data.box_size",
    "data.device_mib",
    "data.synthetic_train",
    "optim.learning_rate",
    "eval.batch_size",
    "eval.radius_px",
    "refine.seeds_per_round",
    "refine.match_px",
    "refine.patch_px",
    "refine.patch_step",
    "refine.epochs",
    "refine.batch_size",
    "refine.learning_rate",
    "checkpoint.every",
    "checkpoint.keep",
    "log.every",
)
_NOT_NEGATIVE = (
    "seed",
    "data.keep_seed",
    "data.corrupt_seed",
    "data.jitter_px",
    "data.mpp",
    "data.synthetic_seed",
    "data.synthetic_val",
    "data.synthetic_test",
    "optim.weight_decay",
    "optim.warmup_steps",
    "optim.clip_norm",
    "eval.every",
    "eval.radius_um",
    "eval.bootstrap",
    "eval.overlays",
    "refine.rounds",
    "refine.weight_decay",
    "refine.ridge",
    "log.seconds",
)
_BELOW_ONE = (
    "data.val_share",
    "data.hed_jitter",
    "data.brightness",
    "data.contrast",
    "data.scale_jitter",
    "optim.momentum",
    "optim.ema",
    "eval.iou",
    "eval.overlay_score",
    "eval.threshold",
    "refine.candidate_threshold",
    "refine.unlabeled_share",
    "refine.prior",
    "refine.moved_share",
    "refine.top_share",
    "refine.bottom_share",
)
_PROTOCOLS = ("max", "hungarian", "nearest", "greedy_score")
_CHOICES = {
    "data.fold_by": ("group", "image"),
    "data.loader": ("auto", "arrays", "tf"),
    "data.resize": ("squeeze", "pad"),
    "data.boxes": ("auto", "points", "annotated"),
    "data.synthetic_kind": ("nuclei", "membrane", "c2c12", "hsc", "hsc_bright"),
    "data.intensity": ("auto", "percentile", "full"),
    "optim.name": ("momentum", "adam", "adamw"),
    "optim.schedule": ("piecewise", "cosine", "constant"),
    "eval.weights": ("last", "best"),
    "refine.network": ("alexnet", "small"),
    "refine.patch_border": ("shift", "reflect"),
    "refine.patch_values": ("share", "standard"),
    "refine.prior_rule": ("fixed", "penl1"),
    "refine.estimator": ("clip", "non_negative", "unbiased"),
    "refine.surrogate": ("logistic", "sigmoid"),
    "refine.solver": ("lbfgs", "sgd"),
    "eval.protocol": _PROTOCOLS,
    "eval.beside": ("", *_PROTOCOLS),
}


def require(ok: bool, message: str) -> None:
    """Raises a ConfigError about `--config.` + message unless `ok`."""
    if not ok:
        raise errors.ConfigError(f"--config.{message}")


def require_positive(key: str, value: Any) -> None:
    """Requires a finite number, or several, above 0."""
    ok = all(0 < one < float("inf") for one in _several(value))
    require(ok, f"{key}={_text(value)} must be more than 0")


def require_not_negative(key: str, value: Any) -> None:
    """Requires a finite number of 0 or more."""
    require(0 <= value < float("inf"), f"{key}={value} must be 0 or more")


def require_share(key: str, value: Any, *, one: bool = True) -> None:
    """Requires a number in [0, 1], or in [0, 1)."""
    ok = 0 <= value <= 1 if one else 0 <= value < 1
    require(ok, f"{key}={value} must be in [0, 1{']' if one else ')'}")


def require_choice(key: str, value: str, allowed: Iterable[str]) -> None:
    """Requires one of some words."""
    allowed = tuple(allowed)
    words = ", ".join(word or "''" for word in allowed)
    require(value in allowed, f"{key}={value}: choose one of {words}")


def validate(experiment: "Experiment") -> None:
    """Checks what can be checked before anything is loaded.

    A method's own options are checked by its `ModelOptions` and `LossOptions`.

    Raises:
      ConfigError: naming the key, the value and what to do.
    """
    for key in _POSITIVE:
        require_positive(key, _get(experiment, key))
    for key in _NOT_NEGATIVE:
        require_not_negative(key, _get(experiment, key))
    for key in _BELOW_ONE:
        require_share(key, _get(experiment, key), one=False)
    for key, allowed in _CHOICES.items():
        require_choice(key, _get(experiment, key), allowed)
    drops = experiment.optim.drops
    require(
        all(0 < drop < 1 for drop in drops),
        f"optim.drops={_text(drops)} must be shares of total_steps, in (0, 1)",
    )
    for key in ("min_distances", "min_distances_um"):
        distances = getattr(experiment.eval, key)
        require(
            (len(distances) > 0 or key.endswith("_um"))
            and all(0 <= d < float("inf") for d in distances),
            f"eval.{key}={_text(distances)} must be distances of 0 or more; 0 alone "
            "keeps all detections",
        )
    p = experiment.refine.p
    require(1 <= p < float("inf"), f"refine.p={p} must be at least 1")
    _check_annotations(experiment)
    _check_sizes(experiment)
    _check_folds(experiment)


def _get(experiment: "Experiment", key: str) -> Any:
    value: Any = experiment
    for name in key.split("."):
        value = getattr(value, name)
    return value


def _several(value: Any) -> tuple[Any, ...]:
    return value if isinstance(value, tuple) else (value,)


def _text(value: Any) -> str:
    return ",".join(map(str, _several(value)))


def _check_annotations(experiment: "Experiment") -> None:
    data = experiment.data
    require(
        0 < data.keep_rate <= 1,
        f"data.keep_rate={data.keep_rate} must be in (0, 1]: 0.1 keeps a tenth of the "
        "annotations; for one an image use --config.data.keep_one=true",
    )
    require(
        0 <= data.flip_labels <= 1,
        f"data.flip_labels={data.flip_labels} must be in [0, 1]: 0.2 gives a fifth of "
        "the cells a wrong class",
    )


def _check_sizes(experiment: "Experiment") -> None:
    data = experiment.data
    for key, pair, least in (
        ("data.size_hw", data.size_hw, 1),
        ("data.crop_hw", data.crop_hw, 0),
        ("data.synthetic_hw", data.synthetic_hw, 32),
    ):
        two = len(pair) == 2 and min(pair) >= least
        require(two, f"{key}={pair} must be height,width of at least {least}")
    if any(data.crop_hw):
        fits = all(0 < c <= s for c, s in zip(data.crop_hw, data.size_hw, strict=True))
        require(
            fits,
            f"data.crop_hw={_text(data.crop_hw)} must fit into "
            f"data.size_hw={_text(data.size_hw)}; 0,0 takes whole images",
        )


def _check_folds(experiment: "Experiment") -> None:
    data = experiment.data
    if data.num_folds:
        require(
            data.num_folds >= 2 and 0 <= data.fold < data.num_folds,
            f"data.fold={data.fold} must be in 0..{data.num_folds - 1} "
            f"(data.num_folds={data.num_folds}, at least 2)",
        )
        ids = data.train_ids or data.val_ids or data.test_ids
        require(not ids, "data.num_folds and data.*_ids exclude each other: drop one")
