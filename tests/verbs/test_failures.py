"""What is said of inputs that failed, and the exit code."""

import pytest

from cellrec_jax.verbs import failures


@pytest.mark.parametrize(
    ("number", "num_asked", "code"), [(0, 0, 0), (0, 3, 0), (1, 3, 1), (3, 3, 2)]
)
def test_some_cost_1_and_all_cost_2(number, num_asked, code, capsys):
    failed = [f"{index}.png: damaged" for index in range(number)]
    assert failures.tell(failed, num_asked, "images", "out.csv") == code
    lines = capsys.readouterr().err.splitlines()
    assert [line.strip() for line in lines[1:]] == failed
    if number:
        head = f"error: {number} of {num_asked} images failed (see out.csv):"
        assert lines[0] == head


def test_a_long_list_ends_with_where_it_goes_on(capsys):
    failed = [f"{index}.png: damaged" for index in range(23)]
    assert failures.tell(failed, 99, "images", "out.csv") == 1
    lines = capsys.readouterr().err.splitlines()
    assert lines[-2:] == ["  19.png: damaged", "  and 3 more in out.csv"]
    assert len(lines) == 1 + 20 + 1
