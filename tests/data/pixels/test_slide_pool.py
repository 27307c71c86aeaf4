"""Slides stay open while they are used, and a few of them after that."""

from collections.abc import Iterator
import contextlib
from pathlib import Path

import pytest

from cellrec_jax.data.pixels import slide_pool


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is opened (+) and closed (-)."""
    lines: list[str] = []

    @contextlib.contextmanager
    def opened(path: Path) -> Iterator[str]:
        lines.append(f"+{path}")
        yield path.name
        lines.append(f"-{path}")

    monkeypatch.setattr(slide_pool.slides, "opened", opened)
    return lines


def _use(pool: slide_pool.SlidePool, *names: str) -> None:
    for name in names:
        with pool.lend(Path(name)) as slide:
            assert slide == name


def test_those_used_longest_ago_are_closed(log: list[str]) -> None:
    pool = slide_pool.SlidePool(2)
    _use(pool, "a", "a", "b", "a", "c", "a", "b")
    assert log == ["+a", "+b", "+c", "-b", "+b", "-c"]
    del pool
    assert sorted(log[6:]) == ["-a", "-b"]


def test_lent_slides_stay_open(log: list[str]) -> None:
    pool = slide_pool.SlidePool(1)
    with pool.lend(Path("a")), pool.lend(Path("a")):
        _use(pool, "b", "c")
        assert log == ["+a", "+b", "-b", "+c", "-c"]
    _use(pool, "d")
    assert log[5:] == ["+d", "-a"]
