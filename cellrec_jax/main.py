"""The command line: flags -> train, evaluate, predict or export; nothing else."""

import argparse
from collections.abc import Iterator, Sequence
import contextlib
import importlib.util
import os
from pathlib import Path
import sys
import traceback
import types
from typing import TYPE_CHECKING

from etils import epath
from ml_collections import ConfigDict

from cellrec_jax import config, errors, multihost, startup
from cellrec_jax import flags as flags_lib
from cellrec_jax.config import keys, overrides

if TYPE_CHECKING:
    from cellrec_jax.io.console import Console


def find_config(name: str) -> Path:
    """Finds a config file by path or shipped name; ConfigError names all shipped."""
    path = Path(name).expanduser()
    if path.is_file():
        return path
    shipped = _shipped()
    if path.name == name and path.stem in shipped:  # a path is meant literally
        return shipped[path.stem]
    raise errors.ConfigError(
        f"--config {name}: no such file, and none shipped by that name; there are "
        f"{', '.join(shipped)}"
    )


def _shipped() -> dict[str, Path]:
    """Name -> file of the package's configs."""
    here = Path(__file__).parent
    folder = here / "configs"  # of a wheel
    folder = folder if folder.is_dir() else here.parent / "configs"  # of a checkout
    return {path.stem: path for path in sorted(folder.glob("*.py"))}


def load_config(flag: str) -> ConfigDict:
    """Runs `get_config(preset)` of `FILE[:PRESET]`; ConfigError if one is missing."""
    name, _, preset = flag.partition(":")
    path = find_config(name)
    module = _module(path)
    if not hasattr(module, "get_config"):
        raise errors.ConfigError(f"{path}: defines no get_config(preset)")
    known = getattr(module, "PRESETS", None)
    if preset and known is not None and preset not in known:
        names = ", ".join(f":{one}" for one in known if one)
        raise errors.ConfigError(f"no preset :{preset}; there are {names or 'none'}")
    return module.get_config(preset)


def _module(path: Path) -> types.ModuleType:
    spec = importlib.util.spec_from_file_location(f"_config_{path.stem}", path)
    assert spec is not None  # a .py file always has one
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def list_configs() -> dict[str, str]:
    """Name, as for `--config`, -> what it is, of all that the package has."""
    return {
        f"{name}:{preset}".rstrip(":"): what
        for name, path in _shipped().items()
        for preset, what in _module(path).PRESETS.items()
    }


def _listed(flag: str | None, pairs: dict[str, str]) -> list[str]:
    """Configs and presets; of one of them, every key."""
    if flag:
        return list(keys.lines(_experiment(flag, pairs)))
    configs = list_configs()
    width = max(map(len, configs))
    return [f"{name:<{width}}  {what}" for name, what in configs.items()]


def _experiment(flag: str, pairs: dict[str, str]) -> config.Experiment:
    """Config file, then overrides, then everything checked that can be."""
    from cellrec_jax import methods

    settings = load_config(flag)
    for key, text in pairs.items():
        overrides.override(settings, key, text)
    return methods.freeze(settings)


def _stored_experiment(workdir: epath.Path, pairs: dict[str, str]) -> config.Experiment:
    """The configuration of a trained work directory, with overrides."""
    from cellrec_jax import methods
    from cellrec_jax.workdir import writer

    stored = writer.read_json(workdir / "config.json")
    if not isinstance(stored, dict):
        raise errors.CheckpointError(
            f"--workdir {workdir}: holds no config.json; train there first"
        )
    settings = ConfigDict(config.to_json(methods.from_json(stored))).lock()
    for key, text in pairs.items():
        overrides.override(settings, key, text)
    return methods.freeze(settings)


def _need(value: object, flag: str, mode: str) -> None:
    if value is None:
        raise errors.ConfigError(f"--mode {mode} needs {flag}")


def _train(flags: argparse.Namespace, pairs: dict[str, str]) -> int:
    from cellrec_jax import run

    _need(flags.config, "--config FILE", "train")
    experiment = _experiment(flags.config, pairs)
    workdir = flags.workdir
    if workdir is None:
        name, _, preset = flags.config.partition(":")
        workdir = epath.Path("runs") / "-".join(filter(None, (Path(name).stem, preset)))
    screen = _screen(experiment)
    return run.train_and_evaluate(experiment, workdir, screen, flags.init_from)


def _screen(experiment: config.Experiment) -> "Console":
    """A console; of several processes only the first one speaks."""
    import jax

    from cellrec_jax.io.console import Console

    return Console(quiet=jax.process_index() > 0, seconds=experiment.log.seconds)


def _evaluate(flags: argparse.Namespace, pairs: dict[str, str]) -> int:
    from cellrec_jax.data import sets, survey
    from cellrec_jax.evaluate import outputs
    from cellrec_jax.evaluate import workdir as evaluation
    from cellrec_jax.workdir import directory, interrupt

    _need(flags.workdir, "--workdir DIR", "evaluate")
    _keep_pixel_size(flags)
    whole, output = "data.root" in pairs, flags.output
    if whole:  # another folder: the stored choices do not fit it
        pairs = {"data.format": "auto", "data.mpp": "0"} | pairs
        pairs = {"data.test_ids": "", "data.ignore_classes": ""} | pairs
        pairs = {"data.marked_share": "1"} | pairs
    experiment = _stored_experiment(flags.workdir, pairs)
    root = ""
    if experiment.data.root != "synthetic":
        root = str(epath.Path(experiment.data.root).expanduser().absolute())
    threshold = flags.threshold
    if output is None and (whole or threshold):
        output = outputs.folder_for(
            flags.workdir, root, whole=whole, threshold=threshold
        )
    screen = _screen(experiment)
    chosen = sets.open_for_evaluation(
        experiment.data,
        experiment.seed,
        whole=whole,
        survey_file=flags.workdir / survey.FILE,
    )
    if not whole:
        directory.refuse_training_images(flags.workdir, chosen.image_ids)
    try:
        with _own_results(flags.workdir, output):
            evaluation.evaluate_workdir(
                flags.workdir,
                chosen,
                screen,
                experiment.eval,
                {},
                output,
                root=root,
                batch=experiment.predict.batch,
                threshold=threshold,
            )
    except interrupt.Interrupted as stop:
        return stop.exit_code
    return 0


@contextlib.contextmanager
def _own_results(workdir: epath.Path, output: epath.Path | None) -> Iterator[None]:
    """No training writes its results meanwhile, where they go to its directory."""
    from cellrec_jax.workdir import lock

    with contextlib.ExitStack() as held:
        if output is None or output.absolute() == workdir.absolute():
            held.enter_context(lock.hold(workdir, "give another --output"))
        yield


def _predict(flags: argparse.Namespace, pairs: dict[str, str]) -> int:
    from cellrec_jax import hosts
    from cellrec_jax.predict import files, inputs, predictor

    _need(flags.workdir, "--workdir DIR", "predict")
    _need(flags.input, "--input FILE|FOLDER|GLOB", "predict")
    output = flags.output or flags.workdir / "predict"
    _keep_pixel_size(flags)
    experiment = _stored_experiment(flags.workdir, pairs)
    screen = _screen(experiment)
    found = inputs.look(flags.input)
    model = predictor.load(
        flags.workdir, batch=experiment.predict.batch, threshold=flags.threshold
    )
    for line in (*found.notes, *model.model.threshold_lines()):
        screen.line(line)
    outcome = files.predict_files(
        model,
        found.paths,
        output,
        screen,
        flags.mpp,
        flags.margin,
        flags.geometry or "point",
        all_scores=flags.all_scores,
    )
    for message in outcome.failed if hosts.is_first() else ():
        print(f"error: {message}", file=sys.stderr)  # noqa: T201
    if outcome.exit_code:
        return outcome.exit_code
    return errors.DataError.exit_code if outcome.failed else 0


def _export(flags: argparse.Namespace, pairs: dict[str, str]) -> int:
    from cellrec_jax.workdir import export

    _need(flags.workdir, "--workdir DIR", "export")
    _need(flags.output, "--output FOLDER", "export")
    experiment = _stored_experiment(flags.workdir, pairs)
    screen = _screen(experiment)
    for line in export.from_workdir(flags.workdir, experiment, flags.output):
        screen.line(line)
    return 0


def _keep_pixel_size(flags: argparse.Namespace) -> None:
    """Keeps `--mpp-trained` in the work directory."""
    from cellrec_jax import hosts
    from cellrec_jax.workdir import model, pixel_size

    if not flags.mpp_trained:
        return
    trained = model.stored_meta(flags.workdir)["mpp"]
    hosts.wait("the pixel size is read")  # before the first process changes it
    pixel_size.keep(flags.workdir, flags.mpp_trained, trained)
    if hosts.is_first():
        print(  # noqa: T201
            f"{flags.workdir / pixel_size.FILE} keeps {flags.mpp_trained:g} um per px "
            "of the training images; delete it to take that back"
        )


_MODES = {
    "train": _train,
    "evaluate": _evaluate,
    "predict": _predict,
    "export": _export,
}


def run(arguments: Sequence[str]) -> int:
    """Runs a command line; returns the exit code.

    0 done, 1 failed while running, 2 wrong usage, configuration or data, 130 after
    Ctrl-C, 143 after SIGTERM (both keep what is done).
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    debug = "--debug" in arguments
    try:
        flags, pairs = flags_lib.parse(arguments)
        if flags.list:
            print("\n".join(_listed(flags.config, pairs)), flush=True)  # noqa: T201
            return 0
        if flags.mode == "export":
            multihost.refuse(flags.multihost, "--mode export")
        multihost.join(flags.multihost)
        startup.keep_compiled(flags.cache)
        startup.check_devices()
        return _MODES[flags.mode](flags, pairs)
    except BrokenPipeError:  # of `| head`; nor may Python flush at its end
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        multihost.leave(141)
        return 141
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)  # noqa: T201
        multihost.leave(130)
        return 130
    except errors.UserError as error:
        if debug:
            traceback.print_exc()
        _say_once(f"error: {error}")
        multihost.leave(error.exit_code)
        return error.exit_code
    except Exception as error:
        if debug and multihost.is_joined():
            traceback.print_exc()
            multihost.leave(1)
        if debug:
            raise
        text = str(error).strip().splitlines()
        what = text[0] if text else ""
        _say_once(f"error: {type(error).__name__}: {what} (--debug shows where)")
        multihost.leave(1)
        return 1


def _say_once(text: str) -> None:
    """Says what went wrong; of processes that say the same, one does."""
    if multihost.is_new(text):
        print(text, file=sys.stderr)  # noqa: T201


def cli() -> None:
    """Entry point of the `cellrec` command."""
    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    cli()
