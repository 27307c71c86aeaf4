"""The page in a real browser."""

import os
import shutil
import subprocess

import pytest

from cellrec_jax.report import page
from tests.report import made
from tests.report.reading import Page

NAMES = ("chromium", "chromium-browser", "google-chrome")


def test_a_browser_shows_it_and_complains_of_nothing(workdir, tmp_path):
    browser = next(filter(None, map(shutil.which, NAMES)), None)
    if browser is None:
        pytest.skip(f"none of {', '.join(NAMES)} is installed")
    made.add_rounds(workdir)
    place = page.write(workdir)
    flags = ["--headless=new", "--disable-gpu", "--disable-dev-shm-usage"]
    flags += ["--no-first-run", "--disable-background-networking", "--disable-sync"]
    flags += [f"--user-data-dir={tmp_path / 'profile'}", "--enable-logging=stderr"]
    if os.geteuid() == 0:
        flags.append("--no-sandbox")
    done = subprocess.run(
        [browser, *flags, "--dump-dom", place.as_uri()],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert "CONSOLE" not in done.stderr  # as for what the policy refuses
    found = Page(done.stdout)
    assert found.title == "point_matching: A & B, neg<b>"
    assert found.row("F1 within 12 px")[0][1] == "0.612 | 0.511 to 0.716"
    assert made.ODD in found.text
    assert "script" not in found.tags
