"""A plugin of pytest: test files whose packages are missing are skipped, by name.

`python -m pytest -p cellrec_jax.bench.skip_missing ...`
"""

from collections.abc import Generator
import re

import pytest


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Turns the failure to import a test file into a skip."""
    report = yield
    missing = missing_package(str(report.longrepr or ""))
    if report.failed and missing:
        report.outcome = "skipped"
        reason = f"Skipped: {missing} is not installed"
        report.longrepr = (str(collector.path), 0, reason)
    return report


def missing_package(error: str) -> str:
    """The package that an error says is missing; "" if none, or if it is this one.

    Example:
      >>> missing_package("ModuleNotFoundError: No module named 'a.b'")
      'a'
    """
    found = re.search(r"ModuleNotFoundError: No module named '([^'.]+)", error)
    return found[1] if found and found[1] != "cellrec_jax" else ""
