"""`python -m cellrec_jax.study NAME RUN ...`: what finished work directories show."""

import argparse
from collections.abc import Callable, Sequence
import functools
from pathlib import Path
import sys
from typing import Any

from cellrec_jax import errors
from cellrec_jax.io import table as io_table
from cellrec_jax.study import (
    changes,
    curves,
    decoders,
    drops,
    energies,
    energy_figure,
    gradient_figure,
    gradients,
    panels,
    prior,
    radii,
    tables,
    thresholds,
)


def run(arguments: Sequence[str] | None = None) -> int:
    """Runs a command line; returns the exit code."""
    flags = _parser().parse_args(arguments)
    flags.act(flags)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m cellrec_jax.study",
        description="Judges and draws what finished runs did.",
        epilog="RUN is a work directory, LABEL=PATTERN several with one name, such as "
        "'Ours++=runs/full/seed*'.",
        allow_abbrev=False,
    )
    commands = parser.add_subparsers(required=True, metavar="NAME")

    def command(name: str, act: Callable[[Any], None], text: str, runs: Any) -> Any:
        one = commands.add_parser(name, help=text, description=text)
        one.set_defaults(act=act)
        one.add_argument("runs", nargs=runs, metavar="RUN")
        return one.add_argument

    add = command("prior", _prior, "the prior's maps beside the true tissue", "+")
    add("--images", type=int, default=0, help="of the test images the first ones")
    add("--out", type=Path, metavar="FILE.csv", help="write the table here, too")
    add = command("decoders", _decoders, "Fig. 1: maps above their targets", 1)
    add("--image", default="", help="a test image; the first")
    add("--out", type=Path, required=True, metavar="FILE.png")
    add = command("changes", _changes, "Fig. 2: cells gained by the second run", 2)
    add("--out", type=Path, required=True, metavar="FILE.png")
    add = command("radii", _radii, "Fig. 3: F1 over the radius", "+")
    add("--class", dest="class_name", default="", help="which; the first")
    add("--out", type=Path, required=True, metavar="FILE.png")
    add = command("curves", _curves, "a logged series over the training steps", "*")
    add("--name", default="", help="in metrics.jsonl, such as train/negative_weight")
    _drawn_from(add)
    add = command("thresholds", _thresholds, "F1 at what other labels choose", "+")
    add(
        "--shares",
        default="0.1",
        help="parts of the validation labels, such as 0.1,0.5",
    )
    add("--draws", type=int, default=20, help="of each share")
    add("--full", type=int, default=0, help="a row of all labels of so few images")
    add("--out", type=Path, metavar="FILE.csv", help="write the table here, too")
    add = command("energies", _energies, "BDE, Fig. 2: boxes over the steps", "*")
    add("--draws", type=int, default=4, help="windows of each training image")
    add("--image", default="", help="a training image for FILE_boxes.png; the first")
    _drawn_from(add)
    add = command("panels", _panels, "BDE, Fig. 7: a test image by run and rate", "+")
    add("--image", default="", help="a test image; the first")
    add("--threshold", type=float, default=0.6, help="of scores; 0 is each run's own")
    text = "the figure, and what it shows as FILE.csv"
    add("--out", type=Path, required=True, metavar="FILE.png", help=text)
    add = command("gradients", _gradients, "BDE, Fig. 8: gradients by layer", "*")
    add("--loss", choices=gradients.LOSSES, default="plain", help="of the test images")
    add("--images", type=int, default=0, help="of the test images the first ones")
    add("--chunk", type=int, default=1, help="images that are done at once")
    _drawn_from(add)
    add = command("drops", _drops, "what sparse labels cost, beside the first's", "*")
    add("--sparse", type=float, help="keep rate, 0 one an image; the least there is")
    add("--full", type=float, help="keep rate; the greatest there is")
    add("--draws", type=int, default=1000, help="of the test images")
    text = "in place of RUN ...: tables of this command, of other images each"
    add("--join", type=Path, nargs="+", metavar="FILE.csv", help=text)
    add("--out", type=Path, metavar="FILE.csv", help="write the table here, too")
    return parser


def _drawn_from(add: Callable[..., Any]) -> None:
    """Flags of figures that their tables alone can be drawn from."""
    text = "the figure, and what it shows as FILE.csv"
    add("--out", type=Path, required=True, metavar="FILE.png", help=text)
    text = "draw this table, which the command wrote, in place of RUN ..."
    add("--from", dest="table", type=Path, metavar="FILE.csv", help=text)


def _prior(flags: argparse.Namespace) -> None:
    tables.of_each(flags, lambda one: prior.judge(one, flags.images), prior.COLUMNS)


def _decoders(flags: argparse.Namespace) -> None:
    (run,) = tables.single(flags.runs).values()
    decoders.draw(flags.out, run, flags.image)


def _changes(flags: argparse.Namespace) -> None:
    named = tables.single(flags.runs)
    if len(named) < 2:
        raise errors.ConfigError(f"{next(iter(named))}: give the two runs two labels")
    compared = changes.compare(*named.values())
    rows = [
        {"class": name, **kinds} for name, kinds in changes.totals(compared).items()
    ]
    tables.show(rows, list(rows[0]))
    before, after = named
    changes.draw(flags.out, compared, (before, after))


def _radii(flags: argparse.Namespace) -> None:
    areas = radii.draw(flags.out, tables.named(flags.runs), flags.class_name)
    rows = [{"area": label, **measures} for label, measures in areas.items()]
    tables.show(rows, ("area", *radii.MEASURES))


def _curves(flags: argparse.Namespace) -> None:
    if flags.runs and not flags.name:
        raise errors.ConfigError("give --name SERIES, such as train/loss")
    measured = functools.partial(curves.measure, name=flags.name)
    found = tables.measured(flags, measured, curves.COLUMNS)
    curves.draw(flags.out, found)
    if rows := curves.crossings(found):
        tables.show(rows, curves.CROSSING_COLUMNS)


def _thresholds(flags: argparse.Namespace) -> None:
    shares = [_share(word) for word in flags.shares.split(",")]
    _require_some(flags, "draws")
    options: dict[str, Any] = {"num_draws": flags.draws, "num_full": flags.full}
    compare = functools.partial(thresholds.compare, shares=shares, **options)
    tables.of_each(flags, compare, thresholds.COLUMNS)


def _energies(flags: argparse.Namespace) -> None:
    _require_some(flags, "draws")
    measure = functools.partial(energies.measure, draws=flags.draws)
    measured = functools.partial(tables.each, measure)
    rows = tables.measured(flags, measured, energies.COLUMNS)
    energy_figure.draw(flags.out, rows)
    tables.show([tables.shown(row) for row in rows], energies.COLUMNS)
    if flags.table:
        return
    drawn = {
        run if len(runs) > 1 else label: energies.panels(run, flags.image)
        for label, runs in tables.named(flags.runs).items()
        for run in runs
    }
    for label, own in drawn.items():
        if line := energies.far(own, label):
            print(line)  # noqa: T201
    boxes = flags.out.with_name(f"{flags.out.stem}_boxes.png")
    energy_figure.draw_boxes(boxes, drawn)


def _panels(flags: argparse.Namespace) -> None:
    found = panels.read(tables.named(flags.runs), flags.image, flags.threshold)
    panels.draw(flags.out, found)
    rows = panels.rows(found)
    io_table.write_rows(tables.beside(flags.out), rows, panels.COLUMNS)
    tables.show(rows, panels.COLUMNS)


def _gradients(flags: argparse.Namespace) -> None:
    _require_some(flags, "chunk")
    options = {"loss": flags.loss, "num_images": flags.images, "chunk": flags.chunk}
    measure = functools.partial(gradients.measure, **options)
    measured = functools.partial(tables.each, measure)
    rows = tables.measured(flags, measured, gradients.COLUMNS)
    compared = gradients.compare(rows)
    gradient_figure.draw(flags.out, compared, gradients.layer_names(rows))
    tables.show(gradients.shares(compared), gradients.SHARE_COLUMNS)


def _require_some(flags: argparse.Namespace, name: str) -> None:
    number = getattr(flags, name)
    if number < 1:
        raise errors.ConfigError(f"--{name} {number}: give 1 or more")


def _drops(flags: argparse.Namespace) -> None:
    _require_some(flags, "draws")
    if bool(flags.join) == bool(flags.runs):
        raise errors.ConfigError("give work directories, or --join FILE.csv ...")
    if flags.join:
        found = drops.join([tables.read(path, drops.COLUMNS) for path in flags.join])
        return tables.write(flags, found, drops.COLUMNS)
    rates: dict[str, Any] = {"sparse": flags.sparse, "full": flags.full}
    rows = drops.compare(tables.named(flags.runs), num_bootstrap=flags.draws, **rates)
    return tables.write(flags, rows, drops.COLUMNS)


def _share(word: str) -> float:
    try:
        share = float(word)
    except ValueError:
        share = 0.0
    if not 0 < share < 1:
        raise errors.ConfigError(f"--shares {word}: give parts in (0, 1), such as 0.1")
    return share


def cli() -> None:
    """Entry point of the module."""
    try:
        sys.exit(run())
    except errors.UserError as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201
        sys.exit(error.exit_code)


if __name__ == "__main__":
    cli()
