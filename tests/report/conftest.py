"""A work directory of which each test may change files."""

import pytest

from tests.report import made


@pytest.fixture
def workdir(tmp_path):
    folder = tmp_path / "of_smith"
    made.write(folder)
    return folder


@pytest.fixture
def undrawn(monkeypatch):
    """Charts without their lines, which take time."""
    monkeypatch.setattr("cellrec_jax.io.drawing.svg", lambda *_: "<svg></svg>")
