"""A pytest plugin: one line of JSON for each test, and a last one, to the file that ``--report`` names."""

from __future__ import annotations

import json
import platform
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

FILE = pytest.StashKey[TextIO]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add ``--report``."""
    parser.addoption("--report", default="/dev/null", help="where the lines go")


def pytest_configure(config: pytest.Config) -> None:
    """Open the report, which is a serial line in the guest."""
    config.stash[FILE] = Path(config.getoption("--report")).open("w", encoding="utf-8")  # noqa: SIM115 -- closed below


def pytest_unconfigure(config: pytest.Config) -> None:
    """Close the report."""
    config.stash[FILE].close()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """Write the outcome of a test: of its body, or of a set-up or teardown that did not pass."""
    report = yield
    if report.when == "call" or not report.passed:
        _write(
            item.config,
            test=item.nodeid,
            outcome=report.outcome,
            seconds=round(report.duration, 3),
            message="" if report.passed else _reason(report),
            facts=dict(report.user_properties),
        )
    return report


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Write the last line: a report without it is cut off."""
    _write(session.config, status=int(exitstatus), release=platform.release(), collected=session.testscollected)


def _reason(report: pytest.TestReport) -> str:
    crash = getattr(report.longrepr, "reprcrash", None)
    return crash.message if crash else report.longreprtext


def _write(config: pytest.Config, **record: object) -> None:
    config.stash[FILE].write(json.dumps(record) + "\n")
    config.stash[FILE].flush()
