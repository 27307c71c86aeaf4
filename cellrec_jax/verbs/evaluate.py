"""`cellrec evaluate`: a trained model on annotated images."""

import argparse
from collections.abc import Iterator, Mapping
import contextlib

from etils import epath

from cellrec_jax import errors
from cellrec_jax.verbs import trained
from cellrec_jax.verbs.verb import Verb, console, flag, path

_SCALE = (
    "the network keeps the scale that it was trained at; leave it out, or use "
    "--config.eval.resize=squeeze"
)


def run(flags: argparse.Namespace, pairs: Mapping[str, str]) -> int:
    """Evaluates on the run's test images, or on another folder's."""
    from cellrec_jax import config_files
    from cellrec_jax.data import sets, survey
    from cellrec_jax.evaluate import outputs
    from cellrec_jax.evaluate import workdir as evaluation
    from cellrec_jax.workdir import directory, interrupt, model_file

    workdir = trained.need_place(flags)
    trained.keep_pixel_size(flags, workdir)
    whole, output = "data.root" in pairs, flags.output
    is_file = model_file.is_one(workdir)
    if is_file and not whole:
        raise errors.ConfigError(
            f"{flags.called} needs --config.data.root FOLDER with --model"
        )
    if whole:  # another folder: the stored choices do not fit it
        pairs = {"data.format": "auto", "data.mpp": "0", **pairs}
        pairs = {"data.test_ids": "", "data.ignore_classes": "", **pairs}
        pairs = {"data.marked_share": "1", **pairs}
    experiment = config_files.stored(workdir, pairs)
    root = ""
    if experiment.data.root != "synthetic":
        root = str(epath.Path(experiment.data.root).expanduser().absolute())
    threshold = flags.threshold
    trained.tell_quick(flags, experiment.eval)
    quick = flags.quick and experiment.eval.has_views
    if output is None and (whole or threshold or quick):
        place = epath.Path() if is_file else workdir
        output = outputs.folder_for(
            place, root, whole=whole, threshold=threshold, quick=quick
        )
    screen = console(experiment)
    chosen = sets.open_for_evaluation(
        experiment.data,
        experiment.seed,
        whole=whole,
        survey_file=workdir / survey.FILE,
    )
    if not whole:
        directory.refuse_training_images(workdir, chosen.image_ids)
    try:
        with _own_results(workdir, output):
            evaluation.evaluate_workdir(
                workdir,
                chosen,
                screen,
                experiment.eval,
                {},
                output,
                root=root,
                batch=experiment.predict.batch,
                threshold=threshold,
                quick=quick,
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


VERB = Verb(
    "evaluate",
    "measure a trained model on annotated images",
    (
        "cellrec evaluate --workdir runs/demo",
        "cellrec evaluate --workdir runs/demo --config.data.root=FOLDER",
        "cellrec evaluate --model ki67 --config.data.root=FOLDER",
    ),
    run,
    (
        trained.WORKDIR,
        trained.MODEL,
        flag(
            "--config.data.root",
            "another folder of images with annotations; without it the test images of "
            "the training",
            often=True,
            metavar="FOLDER",
        ),
        trained.THRESHOLD,
        flag(
            "--output",
            "default WORKDIR, for another folder WORKDIR/evaluate-FOLDER, for a "
            "--threshold WORKDIR/evaluate-at-SCORE, of --quick WORKDIR/evaluate-quick; "
            "of a --model evaluate-FOLDER",
            type=path,
            metavar="DIR",
        ),
        trained.QUICK,
        trained.MPP_TRAINED,
    ),
    keys=("data.", "eval.", "log.", "predict."),
    fixed_keys={"data.size_hw": _SCALE, "data.resize": _SCALE},
    has_several=True,
    has_devices=True,
)
