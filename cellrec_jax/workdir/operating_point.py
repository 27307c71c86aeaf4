"""The operating point of a finished run, chosen anew where its rule has changed.

Checkpoints hold what training fitted; later choices are in `operating_point.json`.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from etils import epath

from cellrec_jax import errors, hosts
from cellrec_jax.config import EvalConfig

FILE = "operating_point.json"
_CUTS: tuple[str, ...] = ("threshold", "threshold_rule", "shared_threshold")
_CUTS += ("min_distances", "min_distances_um", "views", "view_scales")
_RULE = (*_CUTS, "radius_px", "radius_um", "strict", "resize")


class Chosen(NamedTuple):
    """An operating point."""

    rule: Mapping[str, Any]
    """Fields of `EvalConfig`, by which it was chosen."""
    decode: Mapping[str, Any]
    """See `evaluate.to_json`."""


def rule(config: EvalConfig) -> dict[str, Any]:
    """The fields of a configuration that decide the operating point."""
    fields = {name: getattr(config, name) for name in _RULE}
    if config.threshold:  # nothing is fitted, and so nothing shared
        fields |= {"shared_threshold": False, "threshold_rule": "auto"}
    return fields


def require_same_cuts(
    trained: EvalConfig, wanted: EvalConfig, workdir: epath.Path
) -> None:
    """ConfigError if detections are cut by another rule than a run's.

    Other images have nothing to fit it on; radius and protocol may differ.
    """
    before, now = rule(trained), rule(wanted)
    for name in _CUTS:
        if before[name] != now[name]:
            raise errors.ConfigError(
                f"--config.eval.{name}={now[name]}: {workdir} chose its thresholds "
                f"with {before[name]}; repeat its training command with "
                f"--config.eval.{name}, which chooses them again, then evaluate"
            )


def save(workdir: epath.Path, step: int, chosen: Chosen) -> None:
    """Keeps the operating point of the checkpoint of `step`, the last one wins.

    Of several processes all must call this: none reads before the first has written.
    """
    from cellrec_jax.workdir import writer  # late: needs orjson

    def write() -> None:
        known = _read(workdir)
        writer.write_json(workdir / FILE, {**known, str(step): chosen._asdict()})

    hosts.by_first(write, f"operating point of step {step}")


def forget(workdir: epath.Path) -> None:
    """Removes them: what is trained from here on has its own."""
    (workdir / FILE).unlink(missing_ok=True)


def updated(meta: Mapping[str, Any], workdir: epath.Path, step: int) -> dict[str, Any]:
    """Metadata of the checkpoint of `step`, with the operating point chosen since."""
    found = _read(workdir).get(str(step))
    if found is None:
        return dict(meta)
    chosen = Chosen(**found)
    config = {**meta["config"], "eval": {**meta["config"]["eval"], **chosen.rule}}
    return {**meta, "config": config, "decode": chosen.decode, "fit_pending": False}


def _read(workdir: epath.Path) -> dict[str, Any]:
    """Step, as text -> fields of `Chosen`."""
    from cellrec_jax.workdir import writer  # late: needs orjson

    found = writer.read_json(workdir / FILE)
    return found if isinstance(found, dict) else {}
