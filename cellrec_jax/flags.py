"""The flags of the command line, and which mode reads which."""

import argparse
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from etils import epath

from cellrec_jax import __version__, errors
from cellrec_jax.config import limits

_USAGE = """\
train     python -m cellrec_jax.main --config configs/ki67_bde.py:demo
evaluate  ... --mode evaluate --workdir DIR --config.data.root=FOLDER
predict   ... --mode predict --workdir DIR --input FILE|FOLDER|GLOB --output DIR
export    ... --mode export --workdir DIR --output FOLDER

Every key of the configuration is a flag: --config.total_steps=500,
--config.data.root=FOLDER, --config.loss.calibration=plain."""


_READ_BY = {
    "all_scores": ("predict",),
    "config": ("train",),
    "init_from": ("train",),
    "geometry": ("predict",),
    "input": ("predict",),
    "margin": ("predict",),
    "mpp": ("predict",),
    "mpp_trained": ("evaluate", "predict"),
    "output": ("evaluate", "export", "predict"),
    "threshold": ("evaluate", "predict"),
}
"""Flags that only some modes read."""
_EVALUATE_KEYS = ("data.", "eval.", "log.", "predict.")
"""Keys that evaluation reads; the others are stored with the model."""
_SCALE_KEYS = ("data.size_hw", "data.resize")
"""Keys that set the scale of a network for good."""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> None:  # type: ignore[override]
        raise errors.ConfigError(f"{message}; see --help")


def parse(arguments: Sequence[str]) -> tuple[argparse.Namespace, dict[str, str]]:
    """Splits flags from `--config.key=value` overrides, key -> text.

    ConfigError for what is unknown or mistyped, or what the mode does not read.
    """
    flags, pairs = _split_overrides(arguments)
    parsed = _parser().parse_args(flags)
    _check_numbers(parsed)
    _refuse_unread(parsed, pairs)
    return parsed, pairs


def _parser() -> _Parser:
    parser = _Parser(
        prog="cellrec",
        description="Trains cell detectors from imperfect annotations and runs them.",
        epilog=_USAGE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    used = parser.add_argument_group("most used").add_argument
    used(
        "--config",
        metavar="FILE|NAME[:PRESET]",
        help="train: what and how; --list names those there are",
    )
    used(
        "--config.data.root",
        metavar="FOLDER",
        help="train, evaluate: images with annotations; generated ones without it",
    )
    used("--workdir", type=_path, help="of a run; train: default runs/NAME-PRESET")
    used(
        "--mode",
        choices=("train", "evaluate", "predict", "export"),
        default="train",
        help="default: train",
    )
    used("--input", help="predict: image, folder or quoted pattern")
    used(
        "--threshold",
        type=float,
        default=0.0,
        metavar="SCORE",
        help="evaluate, predict: least score of a cell, instead of the fitted one",
    )
    _add_others(parser.add_argument_group("others").add_argument)
    return parser


def _add_others(rest: Callable[..., Any]) -> None:
    """The flags that are seldom used."""
    rest(
        "--list",
        action="store_true",
        help="print configs and presets, a line each; with --config all keys of one",
    )
    rest(
        "--output",
        type=_path,
        help="predict: result folder, default WORKDIR/predict; evaluate: default "
        "WORKDIR, for another folder WORKDIR/evaluate-FOLDER, for a --threshold "
        "WORKDIR/evaluate-at-SCORE; export: new work directory of what prediction "
        "reads",
    )
    rest(
        "--all-scores",
        action="store_true",
        help="predict: detections.csv has all that was found, whatever its score, and "
        "a column kept (1, 0) of what is a cell",
    )
    rest(
        "--margin",
        type=int,
        default=0,
        metavar="PX",
        help="predict: px, at the training images' scale, that each tile of a large "
        "image sees beyond its own part; default: a cell's box. From the network's "
        "receptive radius on as if there were no tiles (configs/README.md)",
    )
    rest(
        "--mpp",
        type=float,
        default=0.0,
        metavar="UM",
        help="predict: um per px of the images, instead of what files say",
    )
    rest(
        "--mpp-trained",
        type=float,
        default=0.0,
        metavar="UM",
        help="evaluate, predict: um per px of the images that --workdir was trained "
        "on, where these did not say; is kept there",
    )
    rest(
        "--geometry",
        choices=("point", "box"),
        default="",
        help="predict: what a cell is in GeoJSON, default point; box where the method "
        "predicts boxes",
    )
    rest(
        "--init-from",
        type=_path,
        metavar="WORKDIR",
        help="train: start from its weights",
    )
    rest(
        "--multihost",
        nargs="?",
        const="auto",
        default="",
        metavar="auto|HOST:PORT,COUNT,ID",
        help="one of several processes, on one machine or many: the address of the "
        "first, how many there are, and which this is; auto, or nothing, is what "
        "launchers' variables tell (Slurm, Open MPI, TPU; JAX_COORDINATOR_ADDRESS, "
        "JAX_NUM_PROCESSES, JAX_PROCESS_ID), as without the flag, but they must",
    )
    rest(
        "--cache",
        default="",
        metavar="DIR|off",
        help="where compiled programs are kept for later starts; default "
        "~/.cache/cellrec_jax (XDG_CACHE_HOME), or JAX_COMPILATION_CACHE_DIR; may be "
        "deleted at any time. Programs that call the host, as on CPUs pdl1_point's "
        "training step, are compiled at every start",
    )
    rest("--debug", action="store_true", help="show tracebacks")
    rest("--version", action="version", version=__version__)


def _path(text: str) -> epath.Path:
    """A path; the shell leaves the ~ of --flag=~/folder to us."""
    return epath.Path(text).expanduser()


def _check_numbers(flags: argparse.Namespace) -> None:
    """Raises a ConfigError for numbers outside their limits."""
    if flags.margin < 0:
        raise errors.ConfigError(f"--margin {flags.margin}: give 0 px or more")
    if not 0 <= flags.threshold < 1:  # 0 is that of the work directory
        raise errors.ConfigError(
            f"--threshold {flags.threshold:g}: give a score between 0 and 1, such as "
            "0.3"
        )
    for name in ("mpp", "mpp_trained"):
        if mpp := getattr(flags, name):  # 0 is unknown
            limits.require_pixel_size(name.replace("_", "-"), mpp)


def _refuse_unread(flags: argparse.Namespace, pairs: Mapping[str, str]) -> None:
    """Raises a ConfigError for what the mode would silently pass over."""
    for name, modes in _READ_BY.items():
        if getattr(flags, name) and flags.mode not in modes:
            raise errors.ConfigError(
                f"--{name.replace('_', '-')}: --mode {flags.mode} does not read it, "
                f"only {_listed(modes)}; leave it out"
            )
    for key in pairs:
        _refuse_unread_key(flags.mode, key)


def _refuse_unread_key(mode: str, key: str) -> None:
    if mode == "export":
        raise errors.ConfigError(
            f"--config.{key}: --mode export reads none; all is stored in --workdir"
        )
    if mode == "predict" and not key.startswith("predict."):
        raise errors.ConfigError(
            f"--config.{key}: --mode predict reads only predict.*; everything else "
            "is stored in --workdir"
        )
    if mode == "evaluate" and not key.startswith(_EVALUATE_KEYS):
        raise errors.ConfigError(
            f"--config.{key}: --mode evaluate reads only data.*, eval.*, log.* and "
            "predict.*; the rest is stored in --workdir"
        )
    if mode == "evaluate" and key in _SCALE_KEYS:
        raise errors.ConfigError(
            f"--config.{key}: the network keeps the scale that it was trained at; "
            "leave it out, or use --config.eval.resize=squeeze"
        )


def _listed(words: Sequence[str]) -> str:
    return " and ".join(filter(None, (", ".join(words[:-1]), words[-1])))


def _split_overrides(arguments: Sequence[str]) -> tuple[list[str], dict[str, str]]:
    plain: list[str] = []
    pairs: dict[str, str] = {}
    rest = list(arguments)
    while rest:
        word = rest.pop(0)
        if not word.startswith("--config."):
            plain.append(word)
            continue
        key, equals, value = word.removeprefix("--config.").partition("=")
        if not equals:
            if not rest or rest[0].startswith("--"):
                raise errors.ConfigError(f"{word} needs a value: {word}=VALUE")
            value = rest.pop(0)
        pairs[key] = value
    return plain, pairs
