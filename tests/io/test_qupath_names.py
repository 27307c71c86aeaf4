import pytest

from cellrec_jax.io import qupath_names


@pytest.mark.parametrize(
    ("names", "there"),
    [
        (["positive", "negative"], ["Positive", "Negative"]),
        (["NEG", "Pos", "other"], ["Negative", "Positive", "other"]),
        (["tumour_pos", "neg. tumor"], ["Tumor: Positive", "Tumor: Negative"]),
        (["Tumor: Positive", "Tumor: Negative"],) * 2,
        (["non-tumour positive", "immune positive"],) * 2,  # not ours to rename
        (["not positive", "1+", "2+", "lymphocyte", ""],) * 2,
        (["pos", "positive", "negative"],) * 2,  # else two were one
        (["", "pos neg", "tumor"],) * 2,
    ],
)
def test_names_of_qupath_and_back(names, there):
    found = qupath_names.qupath_names(names)
    assert found == tuple(there)
    own = qupath_names.own_names(names)
    assert qupath_names.restored(found, own) == tuple(names)
    assert all(one != other for one, other in own.items())
