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
    missing = re.search(
        r"ModuleNotFoundError: No module named '([^']+)'", str(report.longrepr or "")
    )
    if report.failed and missing:
        report.outcome = "skipped"
        reason = f"Skipped: {missing[1]} is not installed"
        report.longrepr = (str(collector.path), 0, reason)
    return report
