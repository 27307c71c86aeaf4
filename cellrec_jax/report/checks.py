"""What a reader must know before a model's numbers are believed."""

from collections.abc import Iterator

from cellrec_jax.report import cuts
from cellrec_jax.report.found import Found
from cellrec_jax.report.names import Names
from cellrec_jax.workdir import model

_FEW_IMAGES = 10
_MOST_LOGGED = 20


def warnings(found: Found, names: Names) -> tuple[str, ...]:
    """A line each."""
    lines = [*_run(found), *_thresholds(found), *_results(found), *_predicted(found)]
    return (*lines, *_logged(found, names))


def _run(found: Found) -> Iterator[str]:
    """Of training and its checkpoints."""
    total = found.config.get("total_steps", 0)
    if not found.steps:
        yield "no checkpoint is whole: there is no model yet"
    elif found.meta.get(model.EXPORTED):
        yield "an export: it holds what prediction reads, not how it was trained"
    elif found.steps[-1] < total:
        yield f"training has not ended: step {found.steps[-1]:,} of {total:,}"
    if found.damaged:
        yield f"{len(found.damaged)} damaged checkpoints were set aside"
    if found.config.get("data", {}).get("root") == "synthetic":
        yield "trained on generated images: scores say little of real ones"


def _thresholds(found: Found) -> Iterator[str]:
    """Of thresholds that no label chose."""
    for one in cuts.of(found):
        if one.source.startswith("the default"):
            yield f"the threshold of {one.class_name} is {one.source}"
    if found.meta and not found.meta.get("mpp"):
        yield (
            "the pixel size of the training images is not known: images of another "
            "magnification are not rescaled (--mpp-trained gives it)"
        )


def _results(found: Found) -> Iterator[str]:
    """Of what was measured."""
    if not found.results:
        if not found.meta.get(model.EXPORTED):
            yield "not evaluated yet: results.json is missing"
        return
    if not found.metrics:
        yield "there were no images to evaluate on: metrics are left out"
        return
    first = next(iter(found.metrics.values()))
    if "num_labels" in first:
        yield "annotations are a part of the cells: scores are estimates"
    elif (images := first.get("num_images", 0)) < _FEW_IMAGES:
        yield f"{images} test images: intervals of so few are rough"
    measured = {one.get("image") for one in found.per_image}
    if measured & set(found.splits.get("val", ())):
        yield "measured on validation images, which chose the thresholds: too good"
    if measured & set(found.splits.get("train", ())):
        yield "measured on images that trained the model: much too good"
    step = found.run.get("step")
    weights = found.config.get("eval", {}).get("weights", "last")
    if found.steps and weights == "last" and step not in (None, found.steps[-1]):
        yield f"results are of step {step}, the last checkpoint is of {found.steps[-1]}"
    for what, number in (found.results.get("dropped") or {}).items():
        yield f"{number} {what}"


def _predicted(found: Found) -> Iterator[str]:
    """Of images that were predicted."""
    if found.predicted is None:
        return
    facts = found.predicted.facts
    if failed := facts.get("failed"):
        yield f"{len(failed)} images could not be predicted"
    if unread := sum(int(one.get("bad_tiles") or 0) for one in found.predicted.rows):
        yield f"{unread} tiles of slides could not be read: their cells are missing"


def _logged(found: Found, names: Names) -> Iterator[str]:
    """What the run itself warned of."""
    if found.warnings and names.hidden:
        yield f"{len(found.warnings)} warnings of log.txt may hold names: left out"
        return
    yield from map(names.said, found.warnings[:_MOST_LOGGED])
    if len(found.warnings) > _MOST_LOGGED:
        yield f"{len(found.warnings) - _MOST_LOGGED} more warnings are in log.txt"
