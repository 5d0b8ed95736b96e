"""A pytest plugin that records which test executes which line, and how long each test takes.

Usage: ``pytest -p tests.campaign.tracing`` with ``EDGED_TRACED`` (the file to write) and ``EDGED_TRACE`` (folders to
trace, separated by ``:``). Coverage.py records the lines, with the name of the running test as context. Lines executed
while modules are imported have the test ``""``. Tests that fail or are skipped are listed separately, because they
cannot show anything about a mutant.
"""

from __future__ import annotations

import json
import os
from collections.abc import Generator
from importlib import import_module
from pathlib import Path

import pytest

FOLDERS = os.environ["EDGED_TRACE"].split(":")
_coverage = import_module("coverage").Coverage(
    data_file=None, config_file=False, include=[f"{Path(folder).resolve()}/*" for folder in FOLDERS]
)
_coverage.start()  # before the first import of what is traced
_seconds: dict[str, float] = {}
_outcomes: dict[str, set[str]] = {}


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Record the lines executed from here on, in fixtures too, under the name of this test."""
    _coverage.switch_context(item.nodeid)
    try:
        return (yield)
    finally:
        _coverage.switch_context("")


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Add up the time of a test's set-up, call and tear-down."""
    _seconds[report.nodeid] = _seconds.get(report.nodeid, 0.0) + report.duration
    _outcomes.setdefault(report.nodeid, set()).add(report.outcome)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish() -> None:
    """Write ``{"seconds": {test: s}, "failed": [test], "lines": {path: {line: [test]}}}``; paths are relative to the
    tree.
    """
    _coverage.stop()
    data = _coverage.get_data()
    lines = {
        os.path.relpath(path): {str(line): tests for line, tests in data.contexts_by_lineno(path).items()}
        for path in data.measured_files()
    }
    passed = {name: s for name, s in _seconds.items() if _outcomes[name] == {"passed"}}
    failed = sorted(name for name, outcomes in _outcomes.items() if "failed" in outcomes)
    written = {"seconds": passed, "failed": failed, "lines": lines}
    Path(os.environ["EDGED_TRACED"]).write_text(json.dumps(written), "utf-8")
