"""Configurations of older versions: options that are gone, and new ones they lack."""

from collections.abc import Collection, Mapping
from typing import Any

from cellrec_jax import errors
from cellrec_jax.config import overrides

_GONE: dict[str, Any] = {
    "model.anchor_offset": 0.0,
    "model.roi_canonical": 224.0,
    "model.box_scales": (10.0, 10.0, 5.0, 5.0),
    "loss.rpn_cls_weight": 1.0,
    "loss.rpn_box_weight": 1.0,
    "loss.roi_cls_weight": 1.0,
    "loss.roi_box_weight": 1.0,
}
"""Dotted key -> default."""


def as_then(fields: Mapping[str, Any]) -> dict[str, Any]:
    """A stored configuration with later options, as was done before there were any.

    Before `loss.doubtful` places scored above 0.5 had energy alone, before
    `masks.clear_px` colour told background at points, too.
    """
    if fields["method"] == "estimate_mask":
        return {**fields, "masks": {"clear_px": 0.0, **fields.get("masks", {})}}
    loss = fields.get("loss", {})
    chosen = {
        "point_matching": loss.get("calibration") == "bde",
        "heatmap_pu": loss.get("form") in ("bde", "recalibrated"),
    }
    if chosen.get(fields["method"]):
        return {**fields, "loss": {"doubtful": "confident", **loss}}
    return dict(fields)


def without(fields: Mapping[str, Any], sections: Collection[str]) -> dict[str, Any]:
    """A stored configuration less gone options; a `ConfigError` if not at default."""
    left = dict(fields)
    for key, now in overrides.MOVED.items():
        section, _, name = key.partition(".")
        if name in left.get(section, {}):
            kept = dict(left[section])
            place, _, later = now.partition(".")
            left[place] = {**left.get(place, {}), later: kept.pop(name)}
            left[section] = kept
    for key in overrides.RENAMED:  # none of them changes results
        section, _, name = key.partition(".")
        part = left.get(section, {})
        left[section] = {k: v for k, v in part.items() if k != name}
    for key, default in _GONE.items():
        section, _, name = key.partition(".")
        part = left.get(section)
        if not isinstance(part, Mapping) or name not in part:
            continue
        if part[name] != default:
            raise errors.ConfigError(
                f"this run was made with {key}={part[name]}, which this version of "
                f"cellrec_jax does not have any more (only {default}): use the version "
                "that made it"
            )
        left[section] = {k: v for k, v in part.items() if k != name}
    # Every method had the section of rounds; in one that had none they were 0.
    refine = left.get("refine", {})
    had_none = "refine" not in sections or (
        left["method"] != "heatmap_pu" and "rank" not in refine
    )
    if had_none and not refine.get("rounds", 0):
        left.pop("refine", None)
    return left
