"""Flags of `cellrec predict` that are of whole slides."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from cellrec_jax import errors
from cellrec_jax.predict.slide.options import ORIGINS, TABLES, SlideOptions
from cellrec_jax.verbs import trained
from cellrec_jax.verbs.verb import above_0, flag

_OF_IMAGES = ("all_scores", "margin")
"""Flags that slides do not read: their tiles belong to the model."""
_LEAST_SPLIT = 100
"""Cells of a file: fewer make more files than a folder should have."""


def _shard(text: str) -> tuple[int, int]:
    index, _, number = text.partition("/")
    if not (index.isdecimal() and number.isdecimal()):
        raise errors.ConfigError(f"--shard {text}: give I/N, such as 0/4")
    return int(index), int(number)


def _place(text: str) -> Path:
    if not text:
        raise errors.ConfigError("--roi: give a file or folder")
    return Path(text).expanduser()


def _split(text: str) -> int:
    if not text.isdecimal() or int(text) < _LEAST_SPLIT:
        raise errors.ConfigError(
            f"--split {text}: give {_LEAST_SPLIT:,} cells a file or more, or leave it "
            "out for one file"
        )
    return int(text)


def _px(text: str) -> int:
    if not text.isdecimal() or not int(text):
        raise errors.ConfigError(f"--overlay-px {text}: give 64 to 8192 px")
    return int(text)


def _least_um(text: str) -> float:
    try:
        return float(text)
    except ValueError as error:
        raise errors.ConfigError(
            f"--min-distance-um {text}: give um, such as 2, or 0"
        ) from error


FLAGS = (
    flag(
        "--roi",
        "slides: GeoJSON (.gz or not) of areas to look at; those of class Ignore are "
        "not looked at; of several slides a folder with SLIDE.svs.geojson or "
        "SLIDE.geojson of each",
        type=_place,
        default=None,
        metavar="FILE|FOLDER",
    ),
    flag(
        "--tissue",
        "slides: look at tissue alone (on, the default) or at everything",
        choices=("on", "off"),
        default="",
    ),
    flag(
        "--table",
        "slides: the kind of table, default csv; parquet needs pyarrow",
        choices=TABLES,
        default="",
    ),
    flag(
        "--gz",
        "slides: GeoJSON as .geojson.gz, which QuPath reads",
        action="store_true",
    ),
    flag(
        "--split",
        "slides: most cells of a GeoJSON file; QuPath likes 250,000 or fewer",
        type=_split,
        default=0,
        metavar="N",
    ),
    flag(
        "--origin",
        "slides that state which part was scanned: (0, 0) is its corner, as QuPath "
        "shows it (default), or that of the whole slide",
        choices=ORIGINS,
        default="",
    ),
    flag(
        "--circle-um",
        "slides: radius of --geometry circle, default 4 um",
        type=above_0("circle-um"),
        default=0.0,
        metavar="UM",
    ),
    flag(
        "--density-um",
        "slides: side of a bin of the density map, default 50 um",
        type=above_0("density-um"),
        default=0.0,
        metavar="UM",
    ),
    flag(
        "--density-max",
        "slides: cells per mm2 from which on the density map is darkest, default "
        "10,000: the same for all slides",
        type=above_0("density-max", "cells per mm2", 1e6),
        default=0.0,
        metavar="N",
    ),
    flag(
        "--min-distance-um",
        "slides: cells nearer than this are one, whatever their class; default 2 um, "
        "or the model's own least distance where that is more; 0 takes the model's",
        type=_least_um,
        default=None,
        metavar="UM",
    ),
    flag(
        "--overlay-px",
        "slides: longer side of the overlay, at most; default 2048",
        type=_px,
        default=0,
        metavar="PX",
    ),
    flag(
        "--shard",
        "slides: do the I-th of N parts of the work, from 0; the part that ends last "
        "writes a slide out",
        type=_shard,
        default=None,
        metavar="I/N",
    ),
)


def options(flags: argparse.Namespace, *, alone: bool = True) -> SlideOptions:
    """What the flags ask for.

    ConfigError for what cannot be, and for what slides do not read where they are
    `alone`, without images.
    """
    from cellrec_jax.predict.slide import roi  # late: it reads slides

    for key in _OF_IMAGES if alone else ():
        if getattr(flags, key):
            raise errors.ConfigError(
                f"--{key.replace('_', '-')}: slides do not read it; leave it out"
            )
    if flags.roi and not flags.roi.exists():
        raise errors.ConfigError(f"--roi {flags.roi}: there is no such file or folder")
    if flags.circle_um and flags.geometry != "circle":
        raise errors.ConfigError(
            "--circle-um: is the radius of --geometry circle: give that too, or leave "
            "it out"
        )
    given = {
        "mpp": trained.mpp(flags),
        "mpp_for_all": bool(flags.mpp_all),
        "overwrite": flags.overwrite,
        "tissue": flags.tissue != "off",
        "roi": flags.roi and flags.roi.is_file() and roi.read(flags.roi),
        "roi_folder": flags.roi and flags.roi.is_dir() and flags.roi,
        "table": flags.table,
        "geometry": flags.geometry,
        "circle_um": flags.circle_um,
        "split": flags.split,
        "zipped": flags.gz,
        "origin": flags.origin,
        "overlay_px": flags.overlay_px,
        "density_um": flags.density_um,
        "density_max": flags.density_max,
        "shard": flags.shard,
    }
    given = {name: value for name, value in given.items() if value or name == "tissue"}
    if flags.min_distance_um is not None:
        given["least_um"] = flags.min_distance_um
    return SlideOptions(**given)


def refuse(flags: argparse.Namespace, *, alone: bool = True) -> None:
    """ConfigError for what images do not read; `alone` they do not those of slides."""
    given = _given(flags)
    if flags.geometry == "circle":
        raise errors.ConfigError(
            "--geometry circle: is of whole slides, and here are images; leave it out"
        )
    if given and alone:
        raise errors.ConfigError(
            f"{given[0]}: is of whole slides, and there is none; leave it out, or give "
            "--slides all, which takes every TIFF as one"
        )


def unread(flags: argparse.Namespace, slides: int, images: int) -> tuple[str, ...]:
    """Lines of flags that only one of both kinds reads, where there are both."""
    of_images = [
        f"--{key.replace('_', '-')}" for key in _OF_IMAGES if getattr(flags, key)
    ]
    lines = []
    if given := _given(flags):
        lines.append(f"{', '.join(given)}: of slides, not read of the {images} images")
    if of_images:
        lines.append(
            f"{', '.join(of_images)}: of images, not read of the {slides} slides"
        )
    return tuple(lines)


def _given(flags: argparse.Namespace) -> Sequence[str]:
    """Names of those that are not as they are by default."""
    return [
        one.name
        for one in FLAGS
        if getattr(flags, one.key) != one.options.get("default", False)
    ]
