"""A work directory to one HTML file: no script, nothing from elsewhere."""

from collections.abc import Callable, Iterator
import functools
from pathlib import Path
from typing import Any

from etils import epath
import jinja2

from cellrec_jax import __version__
from cellrec_jax.io import atomic
from cellrec_jax.report import (
    cuts,
    data,
    images,
    predicted,
    scored,
    scores,
    settings,
    summary,
    training,
)
from cellrec_jax.report import found as found_lib
from cellrec_jax.report.blocks import Notes, Section
from cellrec_jax.report.found import Found
from cellrec_jax.report.names import Names

FILE = "report.html"
"""Its name in a work directory."""
_TEMPLATE = "page.html.jinja"
_ODD = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)
"""What a file of another form than expected ends in."""


def write(
    workdir: epath.Path, output: epath.Path | None = None, *, anonymize: bool = False
) -> epath.Path:
    """Writes the report of a work directory, whole or not at all; where it is.

    The same directory gives the same bytes. CheckpointError where it is none, RunError
    if the file cannot be written.
    """
    place = output or workdir / FILE
    text = render(workdir, anonymize=anonymize)
    atomic.write_bytes(place, text.encode("utf-8", "backslashreplace"))
    return place


def render(workdir: epath.Path, *, anonymize: bool = False) -> str:
    """The page as text; what is missing is told in it, a line each."""
    found, names = found_lib.look(workdir), Names(anonymize)
    folder = Path(workdir).absolute()
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    return environment.get_template(_TEMPLATE).render(
        title=summary.title(found),
        folder=names.of("/".join(folder.parts[-2:]), "folder"),
        sections=list(_sections(found, names)),
        version=__version__,
        anonymize=anonymize,
    )


def _sections(found: Found, names: Names) -> Iterator[Section]:
    """In the order that people look at them."""
    makers: dict[str, Callable[[], Section | None]] = {
        "Summary": functools.partial(summary.section, found, names),
        "Test images": functools.partial(images.section, found, names),
        "What goes wrong": functools.partial(images.failures, found, names),
        "Scores of predicted images": functools.partial(scored.section, found, names),
        "Predicted images": functools.partial(predicted.section, found, names),
        "Thresholds": functools.partial(cuts.section, found),
        "Training": functools.partial(training.section, found),
        "Rounds of pseudo labels": functools.partial(training.rounds, found, names),
        "Data": functools.partial(data.section, found, names),
        "All metrics": functools.partial(scores.section, found, names),
        "Configuration": functools.partial(settings.section, found, names),
        "Versions": functools.partial(settings.versions, found),
    }
    for title, make in makers.items():
        try:
            section: Any = make()
        except _ODD as error:
            name = title.lower().replace(" ", "-")
            line = f"cannot be shown: a file has another form ({type(error).__name__})"
            section = Section(name, title, (Notes((line,)),))
        if section is not None:
            yield section
