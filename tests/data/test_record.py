"""Records and sources are plain and independent of each other."""

import numpy as np

from cellrec_jax.data.record import Record, Source


def test_sources_do_not_share_their_repairs():
    first = Source("a", ("cell",), (), lambda _: None)
    second = Source("b", ("cell",), (), lambda _: None)
    first.repairs["points dropped"] += 1
    assert not second.repairs
    assert second.groups == {}


def test_a_record_needs_points_and_labels_only():
    record = Record(
        "a", np.zeros((2, 3, 3), np.uint8), np.zeros((0, 2)), np.zeros(0, np.int32)
    )
    assert (
        record.boxes_yxyx is record.masks is record.annotated is record.ignore is None
    )
    assert (record.group, record.mpp) == ("", None)
