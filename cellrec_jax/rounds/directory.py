"""What rounds of pseudo labels mean for the work directory that they are done in."""

from etils import epath

from cellrec_jax import config as config_lib
from cellrec_jax import methods
from cellrec_jax.config import Experiment
from cellrec_jax.rounds import files as round_files
from cellrec_jax.rounds.files import RoundFiles
from cellrec_jax.workdir import checkpoint, directory
from cellrec_jax.workdir.directory import Flat

MAY_CHANGE = ("refine.pause",)
"""Keys of rounds that a resumed run may change, as `config.MAY_CHANGE`."""

_ROUNDS = "refine.rounds"


def begun(workdir: epath.Path) -> bool:
    """Whether there are labels that rounds of training go by."""
    return RoundFiles(workdir, {}).labels_path(0).exists()


def finished(workdir: epath.Path, experiment: Experiment) -> bool:
    """Whether as many rounds have ended as are wanted."""
    rounds = _wanted(experiment)
    return not rounds or _ended(workdir).get(_ROUNDS) == rounds


def terms(
    workdir: epath.Path, stored: Flat, experiment: Experiment
) -> tuple[Flat, frozenset[str]]:
    """The stored values that count, and the keys that may change.

    Until rounds are done `eval` is part of their training; their number may change as
    long as there are no labels of later ones.
    """
    free = {*config_lib.MAY_CHANGE, *MAY_CHANGE}
    rounds = _wanted(experiment)
    ended = _ended(workdir) if rounds else {}
    over = ended.get(_ROUNDS) == rounds if rounds else directory.has_weights(workdir)
    if not over:
        free -= {"eval"}
        # What rounds were made with; they may have been evaluated in other ways since.
        used = {key: ended[key] for key in ended if key.startswith("eval.")}
        stored = stored | used
    last = RoundFiles(workdir, {}).latest(stored.get(_ROUNDS, 0))
    if stored.get(_ROUNDS) and 0 < rounds >= last:
        free |= {_ROUNDS}
    return stored, frozenset(free)


STAGES = directory.Stages(begun, finished, terms, round_files.NAMES)


def _wanted(experiment: Experiment) -> int:
    refine = getattr(experiment.options, "refine", None)
    return refine.rounds if refine else 0


def _ended(workdir: epath.Path) -> Flat:
    """The configuration that rounds ended with; nothing where none have."""
    if not directory.has_weights(workdir):
        return {}
    meta = checkpoint.latest_meta(workdir)
    return methods.flatten(methods.from_json(meta["config"]))
