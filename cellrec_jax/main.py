"""The command line: flags -> train, evaluate or predict; nothing else."""

import argparse
from collections.abc import Sequence
import importlib.util
import os
from pathlib import Path
import sys
import traceback
from typing import TYPE_CHECKING

from ml_collections import ConfigDict

from cellrec_jax import __version__, config, errors, overrides

if TYPE_CHECKING:
    from cellrec_jax.train.console import Console

_USAGE = """\
train     python -m cellrec_jax.main --config configs/ki67_bde.py:demo
evaluate  ... --mode evaluate --workdir DIR --config.data.root=FOLDER
predict   ... --mode predict --workdir DIR --input FILE|FOLDER|GLOB --output DIR

Every key of the configuration is a flag: --config.total_steps=500,
--config.data.root=FOLDER, --config.loss.calibration=plain."""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> None:  # type: ignore[override]
        raise errors.ConfigError(f"{message}; see --help")


def _parse(arguments: Sequence[str]) -> tuple[argparse.Namespace, dict[str, str]]:
    """Splits flags from `--config.key=value` overrides."""
    parser = _Parser(
        prog="cellrec",
        description="Trains cell detectors from imperfect annotations and runs them.",
        epilog=_USAGE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--config", metavar="FILE|NAME[:PRESET]")
    parser.add_argument("--workdir", type=Path, help="default: runs/NAME-PRESET")
    parser.add_argument(
        "--mode", choices=("train", "evaluate", "predict"), default="train"
    )
    parser.add_argument("--input", help="predict: image, folder or quoted pattern")
    parser.add_argument("--output", type=Path, help="predict, evaluate: result folder")
    parser.add_argument("--mpp", type=float, default=0.0, help="predict: um per px")
    parser.add_argument(
        "--init-from",
        type=Path,
        metavar="WORKDIR",
        help="train: start from its weights",
    )
    parser.add_argument(
        "--distributed",
        metavar="HOST:PORT,COUNT,ID",
        help="train on several processes; 'auto' asks the cluster",
    )
    parser.add_argument("--debug", action="store_true", help="show tracebacks")
    parser.add_argument("--version", action="version", version=__version__)
    plain, pairs = _split_overrides(arguments)
    return parser.parse_args(plain), pairs


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


def find_config(name: str) -> Path:
    """Finds a config file by path, or by name among those shipped with the package.

    Raises:
      ConfigError: if there is none, naming those there are.
    """
    path = Path(name).expanduser()
    if path.is_file():
        return path
    here = Path(__file__).parent
    folders = [here / "configs", here.parent / "configs"]  # wheel, checkout
    for folder in folders:
        shipped = folder / f"{path.stem}.py"
        if shipped.is_file():
            return shipped
    known = sorted({p.stem for folder in folders for p in folder.glob("*.py")})
    raise errors.ConfigError(
        f"--config {name}: no such file, and none shipped by that name; there are "
        f"{', '.join(known)}"
    )


def load_config(flag: str) -> ConfigDict:
    """Runs `get_config(preset)` of the file that `FILE[:PRESET]` names."""
    name, _, preset = flag.partition(":")
    path = find_config(name)
    spec = importlib.util.spec_from_file_location(f"_config_{path.stem}", path)
    assert spec is not None  # a .py file always has one
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    if not hasattr(module, "get_config"):
        raise errors.ConfigError(f"{path}: defines no get_config(preset)")
    return module.get_config(preset)


def _experiment(flag: str, pairs: dict[str, str]) -> config.Experiment:
    """Config file, then overrides, then everything checked that can be."""
    from cellrec_jax.train import model

    settings = load_config(flag)
    for key, text in pairs.items():
        overrides.override(settings, key, text)
    experiment = config.freeze(settings)
    model.build_method(experiment, num_classes=1)
    return experiment


def _stored_experiment(workdir: Path, pairs: dict[str, str]) -> config.Experiment:
    """The configuration of a trained work directory, with overrides."""
    from cellrec_jax.train import writer

    stored = writer.read_json(workdir / "config.json")
    if not isinstance(stored, dict):
        raise errors.CheckpointError(
            f"--workdir {workdir}: holds no config.json; train there first"
        )
    settings = ConfigDict(config.to_json(config.from_json(stored))).lock()
    for key, text in pairs.items():
        overrides.override(settings, key, text)
    return config.freeze(settings)


def _need(value: object, flag: str, mode: str) -> None:
    if value is None:
        raise errors.ConfigError(f"--mode {mode} needs {flag}")


def _train(flags: argparse.Namespace, pairs: dict[str, str]) -> int:
    from cellrec_jax.train import run

    _need(flags.config, "--config FILE", "train")
    experiment = _experiment(flags.config, pairs)
    workdir = flags.workdir
    if workdir is None:
        name, _, preset = flags.config.partition(":")
        workdir = Path("runs") / "-".join(filter(None, (Path(name).stem, preset)))
    screen = _screen(experiment)
    return run.train_and_evaluate(experiment, workdir, screen, flags.init_from)


def _screen(experiment: config.Experiment) -> "Console":
    """A console; of several processes only the first one speaks."""
    import jax

    from cellrec_jax.train.console import Console

    return Console(quiet=jax.process_index() > 0, seconds=experiment.log.seconds)


def _evaluate(flags: argparse.Namespace, pairs: dict[str, str]) -> int:
    from cellrec_jax.data import sets
    from cellrec_jax.train import run

    _need(flags.workdir, "--workdir DIR", "evaluate")
    if "data.root" in pairs:  # another folder: the stored choices do not fit it
        pairs = {"data.format": "auto", "data.test_ids": "", **pairs}
    experiment = _stored_experiment(flags.workdir, pairs)
    screen = _screen(experiment)
    chosen = sets.open_for_evaluation(
        experiment.data, experiment.seed, whole="data.root" in pairs
    )
    run.evaluate_workdir(
        flags.workdir, chosen, screen, experiment.eval, {}, flags.output
    )
    return 0


def _predict(flags: argparse.Namespace, pairs: dict[str, str]) -> int:
    from cellrec_jax import predict
    from cellrec_jax.train import console

    _need(flags.workdir, "--workdir DIR", "predict")
    _need(flags.input, "--input FILE|FOLDER|GLOB", "predict")
    if pairs:
        raise errors.ConfigError(
            f"--config.{next(iter(pairs))}: --mode predict takes no --config keys; "
            "everything is stored in --workdir"
        )
    output = flags.output or flags.workdir / "predictions"
    paths = predict.find_inputs(flags.input)
    predictor = predict.load(flags.workdir)
    screen = console.Console()
    failed = predict.predict_files(predictor, paths, output, screen, flags.mpp)
    for message in failed:
        print(f"error: {message}", file=sys.stderr)  # noqa: T201
    return errors.DataError.exit_code if failed else 0


def _start_distributed(flag: str) -> None:
    import jax

    if flag == "auto":
        jax.distributed.initialize()
        return
    try:
        address, count, index = flag.split(",")
        jax.distributed.initialize(address, int(count), int(index))
    except ValueError as error:
        raise errors.ConfigError(
            f"--distributed {flag}: give HOST:PORT,COUNT,ID or auto"
        ) from error


def run(arguments: Sequence[str]) -> int:
    """Runs a command line; returns the exit code.

    0 done, 1 failed while running, 2 wrong usage, configuration or data, 130 after
    Ctrl-C, 143 after SIGTERM (both save first).
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    debug = "--debug" in arguments
    try:
        flags, pairs = _parse(arguments)
        if flags.distributed:
            _start_distributed(flags.distributed)
        modes = {"train": _train, "evaluate": _evaluate, "predict": _predict}
        return modes[flags.mode](flags, pairs)
    except KeyboardInterrupt:
        return 130
    except errors.UserError as error:
        if debug:
            traceback.print_exc()
        print(f"error: {error}", file=sys.stderr)  # noqa: T201
        return error.exit_code
    except Exception as error:
        if debug:
            raise
        text = str(error).strip().splitlines()
        what = text[0] if text else ""
        print(  # noqa: T201
            f"error: {type(error).__name__}: {what} (--debug shows where)",
            file=sys.stderr,
        )
        return 1


def cli() -> None:
    """Entry point of the `cellrec` command."""
    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    cli()
