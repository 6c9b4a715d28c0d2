"""A pytest plugin that turns every skip into a failure: ``pytest -p tests.no_skips``.

CI loads it, so that a server, a binary or a package that is missing there cannot pass for green.
It changes the reports themselves, where a test is run or collected, because that also holds under
xdist and for modules that skip themselves, and needs no reading of pytest's printed summary.
"""

from __future__ import annotations

import pytest


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport(item, call):
    report = yield
    return _fail_if_skipped(report)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_make_collect_report(collector):
    report = yield
    return _fail_if_skipped(report)


def _fail_if_skipped(report):
    # An expected failure is reported as skipped too; xfail_strict already watches over those.
    if report.outcome == "skipped" and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"{report.nodeid} was skipped, and CI runs every test: {report.longrepr}"
    return report
