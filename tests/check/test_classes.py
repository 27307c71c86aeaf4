import pytest

from cellrec_jax.check import classes

ALIKE = (
    ("RBC", "rbc"),
    ("RBC ", "RBC"),
    ("tumour cell", "tumour_cell"),
    ("Platelet", "Platelets"),
    ("tumour cells", "tumour cell"),
    ("lymphocyte", "lymphocite"),
    ("positive", "postive"),
    ("negative", "negatvie"),
    ("plasma", "plasmaa"),
)
APART = (
    ("positive", "negative"),
    ("RBC", "WBC"),
    ("grade 1", "grade 2"),
    ("class1", "class12"),
    ("type A", "type B"),
    ("CD3", "CD8"),
    ("Ki67+", "Ki67-"),
    ("3+", "3-"),
    ("tumor_any", "nonTIL_stromal"),
    ("sTIL", "nonTIL"),
    ("cell", "call"),
    ("1", "2"),
)


@pytest.mark.parametrize("pair", ALIKE)
def test_names_spelled_twice(pair):
    assert classes.likeness(*pair)
    assert classes.likeness(*pair[::-1])
    (one,) = classes.spelled_twice((*pair, "another"), (4, 5, 6))
    assert "(4 cells)" in one.text
    assert "(5)" in one.text


@pytest.mark.parametrize("pair", APART)
def test_names_of_two_classes(pair):
    assert not classes.likeness(*pair)
    assert not classes.likeness(*pair[::-1])


def test_rare_classes():
    names, counts = ("a", "b", "c"), (20, 19, 0)
    found = [one.text for one in classes.rare(names, counts)]
    assert found == ["'b' has 19 cells", "'c' has 0 cells"]
    assert len(list(classes.rare(names, counts, 19))) == 1
