"""A work directory written by hand: two classes, three test images, a prediction."""

import csv
import json

import numpy as np
from PIL import Image

from cellrec_jax import config, methods

ODD = "<script>alert(1)</script>"
"""The image with the lowest F1."""
CLASSES = ["A & B", "neg<b>"]
STEP = 40
ENTRY = {"num_images": 3, "num_truth": 30, "num_predicted": 24}


def write(folder):
    """Writes that of a finished training whose images lie in a folder `ward7`."""
    experiment = methods.freeze(
        {
            "method": "point_matching",
            "total_steps": STEP,
            "data": {"root": "/scans/ward7", "test_ids": "slide77,group/deep"},
            "model": {"encoder": "small"},
        }
    )
    stored = config.to_json(experiment)
    _json(folder / "config.json", stored)
    _json(folder / "results.json", _results())
    _json(
        folder / "splits.json",
        {"train": ["tile_a1", "tile_a2"], "val": ["tile_v"], "test": IMAGES},
    )
    entry = [[96, 128], 0.5, 6, 10, 0, [4, 2], {"points outside": 3}]
    images = {
        name: [[["/scans/ward7/t.png", 1, 2]], entry] for name in ("tile_a1", "tile_a2")
    }
    _json(folder / "survey.json", {"key": "", "images": images})
    _json(folder / "checkpoints" / str(STEP) / "meta" / "metadata", _meta(stored))
    rows = [{"step": s, "train/loss": 1 / s, "train/loss/x": 2 / s} for s in (20, 40)]
    lines = "".join(json.dumps(one) + "\n" for one in rows)
    (folder / "metrics.jsonl").write_text(lines)
    _csv(folder / "predictions" / "per_image.csv", PER_IMAGE)
    for name in (IMAGES[0], ODD):
        _picture(folder / "figures" / f"overlay_{name.replace('/', '_')}.png")
    _picture(folder / "figures" / "reliability.png")
    (folder / "log.txt").write_text(
        "step 1\nwarning: odd files (/scans/ward7/tile_a1)\n"
    )
    _predicted(folder / "predict")


def add_rounds(folder):
    """Two rounds of pseudo labels, with the picture that has an image's name in it."""
    for number in (0, 1):
        test = {"precision": 0.5 + number / 8, "recall": 0.75, "F1": None}
        labels = {"given": 12, "pseudo_positive": 1234 * number, "pseudo_negative": 0}
        summary = {"round": number, "labels": labels, "test": test, "notes": []}
        if not number:
            summary["selected"] = {
                "positive": 1234,
                "negative": 0,
                "positive_purity": 0.625,
            }
        _json(folder / "rounds" / str(number) / "summary.json", summary)
    _picture(folder / "figures" / "labels_0.png")


IMAGES = ["slide77", "group/deep", ODD]
PER_IMAGE = [
    {"image": "slide77", "group": "", "num_truth": 10, "num_predicted": 8}
    | {"num_matched": 6, "precision": 0.75, "recall": 0.6, "F1": 0.6666666}
    | {"count_error": -2, "num_truth/A & B": 4, "num_truth/neg<b>": 6},
    {"image": "group/deep", "group": "patient9", "num_truth": 10, "num_predicted": 10}
    | {"num_matched": 10, "precision": 1.0, "recall": 1.0, "F1": 1.0}
    | {"count_error": 0, "num_truth/A & B": 5, "num_truth/neg<b>": 5},
    {"image": ODD, "group": "", "num_truth": 10, "num_predicted": 6}
    | {"num_matched": 2, "precision": 0.3333, "recall": 0.2, "F1": 0.25}
    | {"count_error": -4, "num_truth/A & B": 9, "num_truth/neg<b>": 1},
]


def _results():
    def entry(value, low=None, high=None):
        return {"value": value, "low": low, "high": high, **ENTRY}

    curve = {"F1": [0.25, 0.75, None], "precision": [], "recall": []}
    return {
        "metrics": {
            "AP": entry(None),
            "F1@12px": entry(0.61234, 0.51111, 0.71555),
            "F1@12px/A & B": entry(0.7),
            "F1@12px/neg<b>": entry(0.5),
            "precision@12px": entry(0.75),
            "recall@12px": entry(0.55),
            "count_mae": entry(2.25, 1.04, 3.06),
        },
        "dropped": {"cells of other classes": 17},
        "tables": {
            "confusion": {
                "annotated": [*CLASSES, "false detection"],
                "predicted": [*CLASSES, "missed"],
                "counts": [[11, 2, 5], [1, 7, 4], [3, 1, 0]],
            },
            "threshold_curves": {
                "thresholds": [0.0, 0.5, 1.0],
                "curves": dict.fromkeys(CLASSES, curve),
            },
            "score": None,
        },
        "run": {
            "step": STEP,
            "thresholds_from": dict.fromkeys(CLASSES, "fitted on 9 validation labels"),
            "cells_kept": 12,
            "cells_total": 20,
            "parameters": 4321,
            "timing": {"seconds": 75.0},
            "versions": {"cellrec_jax": "0.0.9", "jax": "0.1"},
        },
    }


def _meta(stored):
    return {
        "config": stored,
        "class_names": CLASSES,
        "native_hw": [96, 128],
        "mpp": 0.5,
        "decode": {
            "thresholds": [0.375, 0.4375],
            "intervals": [[0.25, 0.5], [None, None]],
            "num_labels": [5, 4],
            "min_distance": 3.0,
        },
        "cells_kept": 12,
        "cells_total": 20,
    }


def add_scores(folder):
    """Of two images together and of a slide's hot spot, corrected by two fields."""
    plain = {"value": 0.25, "low": 0.125, "high": 0.5}
    counts = {"numerator": 3, "denominator": 12, "per": "cells"}
    fixed = {"corrected": 0.5, "corrected_low": 0.25, "corrected_high": 0.75}
    seen = {"analysed_mm2": 1.5, "mpp": 0.25, "mpp_source": "TIFF tags"}
    seen |= {"tiles_left_out": 2, "interval_of": "16 squares", "side_um": None}
    index = {"score": "positive_index", "field": "all", "warning": "3 cells, fewer"}
    index |= {"image": "", **plain, **counts, **fixed, **seen}
    spot = index | {"image": "seen.png", "field": "hot spot", "side_um": 500.0}
    dense = index | {"score": "per_mm2/neg<b>", "value": 2345.6, "corrected": None}
    dense |= {"per": "mm2", "denominator": 1.5, "low": None, "high": None}
    calibration = {"folder": "/scans/ward7", "num_fields": 2}
    content = {"scores": [index, dense, spot], "calibration": calibration}
    content |= {"definitions": {"positive_index": "a / (a + b)"}, "left_out": {"c": ""}}
    _json(folder / "predict" / "scores.json", {**content, "model": {"settings": 1}})


def _predicted(folder):
    rows = [
        {
            "image": "seen.png",
            "height": 64,
            "width": 80,
            "num_predicted": 5,
            "note": "",
        },
        {"image": "../../x", "height": 64, "width": 80, "num_predicted": 1, "note": ""},
        {"image": "bad.png", "height": "", "width": "", "num_predicted": ""}
        | {"note": "bad.png is cut short"},
    ]
    _csv(folder / "summary.csv", rows)
    facts = {
        "model": {"step": STEP, "classes": CLASSES},
        "failed": {"bad.png": "bad.png is cut short"},
        "finished": True,
    }
    _json(folder / "predict.json", facts)
    _picture(folder / "seen.png.overlay.png")


def _json(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


def _csv(path, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def _picture(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.arange(12 * 16 * 3, dtype=np.uint8).reshape(12, 16, 3)
    Image.fromarray(pixels).save(path)
