"""What a file or folder is, and what is known of it without its pixels."""

import glob
import struct
from typing import Any

from etils import epath
import numpy as np

from cellrec_jax import errors
from cellrec_jax.data.pixels import slides, tiff


def look(word: str) -> dict[str, Any]:
    """What is known, as JSON holds it: `path`, `kind` and more; or `path`, `error`.

    A kind is "slide", "image", "work directory", "folder" or "pattern". Sizes
    are (y, x) in px, `size` in bytes; an `mpp` of 0 is unknown. Nothing of one file
    ends the look at others: what it raises is its `error`.
    """
    path = epath.Path(word).expanduser()
    try:
        if not path.exists() and glob.has_magic(word):
            return {"path": word, **_several("pattern", word)}
        if not path.exists():
            raise errors.DataError("there is no such file or folder")
        found = _look(path)
        if note := _cut_off(path):
            found["notes"] = [note, *found["notes"]]
        return {"path": str(path), **found}
    except errors.UserError as error:
        return {"path": str(path), "error": str(error)}
    except Exception as error:
        text = str(error).strip().partition("\n")[0]
        return {"path": str(path), "error": f"{type(error).__name__}: {text}"}


def _look(path: epath.Path) -> dict[str, Any]:
    if path.is_dir() and (path / "config.json").exists():
        return _workdir(path)
    if path.is_dir():
        return _several("folder", str(path))
    if slides.is_slide(path) or path.suffix.lower() in slides.PROJECT_ENDINGS:
        return _slide(path)
    return _image(path)


def _slide(path: epath.Path) -> dict[str, Any]:
    found = slides.describe(path)
    levels = [
        {"size_hw": list(one.size_hw), "downsample_yx": list(one.downsample_yx)}
        for one in found.levels
    ]
    return {
        "kind": "slide",
        "reader": found.reader,
        "size": found.num_bytes,
        "levels": levels,
        "mpp": found.mpp,
        "mpp_source": found.mpp_source,
        "bounds_yxyx": None if found.bounds_yxyx is None else list(found.bounds_yxyx),
        "notes": list(found.notes),
    }


def _image(path: epath.Path) -> dict[str, Any]:
    from cellrec_jax.data.pixels import images
    from cellrec_jax.predict import inputs

    try:
        header = images.header(path)
    except errors.DataError as error:
        if (what := inputs.unread_format(path)) and error.__cause__ is not None:
            raise errors.DataError(what) from error
        raise
    return {
        "kind": "image",
        "size": path.stat().length,
        "size_hw": list(header.sizes.shown_hw),
        "channels": header.channels,
        "bits": header.bits,
        "mpp": header.mpp,
        "mpp_source": header.mpp_source,
        "notes": list(header.notes),
    }


def _cut_off(path: epath.Path) -> str:
    """What to tell of a TIFF that ends before its pixels do; else ""."""
    if path.is_dir():
        return ""
    num, lost, size = 0, 0, path.stat().length
    try:
        with tiff.opened(path) as file:
            pages = [page for one in file.pages for page in (one, *(one.pages or ()))]
            for page in pages:
                tiles = page.aspage()
                ends = np.add(tiles.dataoffsets, tiles.databytecounts)
                num, lost = num + len(ends), lost + int((ends > size).sum())
            has_more = _next_page(file) >= size
    except Exception:  # no TIFF, or told by its reader
        return ""
    if lost:
        what = f"{lost} of {num} tiles lie"
    elif has_more:
        what = "images of it lie"
    else:
        return ""
    return f"damaged: {what} beyond the file's end: copy it again"


def _next_page(file: Any) -> int:
    """Where a TIFF says that a page follows the last one that is there; 0: none."""
    tiff, start = file.tiff, file.pages[-1].offset
    file.filehandle.seek(start)
    (num,) = struct.unpack(tiff.tagnoformat, file.filehandle.read(tiff.tagnosize))
    file.filehandle.seek(start + tiff.tagnosize + num * tiff.tagsize)
    content = file.filehandle.read(tiff.offsetsize)
    (found,) = struct.unpack(tiff.offsetformat, content)
    return int(found)


def _several(kind: str, word: str) -> dict[str, Any]:
    """What a folder or a pattern names."""
    from cellrec_jax.predict import inputs

    try:
        found = inputs.look(word)
    except errors.DataError as error:
        raise errors.DataError(str(error).removeprefix(f"--input {word}: ")) from error
    num_slides = sum(map(slides.is_slide, found.paths))
    return {
        "kind": kind,
        "images": len(found.paths) - num_slides,
        "slides": num_slides,
        "notes": list(found.notes),
    }


def _workdir(path: epath.Path) -> dict[str, Any]:
    """Of a trained model; CheckpointError where there is none yet."""
    from cellrec_jax import config_files
    from cellrec_jax.workdir import checkpoint, model

    experiment = config_files.stored(path, {})
    meta = model.stored_meta(path)
    names, decode = meta["class_names"], meta["decode"]
    return {
        "kind": "work directory",
        "method": experiment.method,
        "step": checkpoint.complete_steps(path)[-1],
        "total_steps": experiment.total_steps,
        "exported": bool(meta.get(model.EXPORTED)),
        "thresholds": dict(zip(names, decode["thresholds"], strict=True)),
        "thresholds_once": dict(
            zip(names, decode.get("once", decode)["thresholds"], strict=True)
        ),
        "min_distance_px": decode["min_distance"],
        "native_hw": list(meta["native_hw"]),
        "mpp": meta["mpp"],
    }
