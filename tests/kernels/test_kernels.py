"""The object of the wheel does on every kernel what it does here."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from concurrent.futures import Future

    from tests.kernels.catalog import Kernel
    from tests.kernels.guests import Report


def test_boots_the_kernel_that_was_asked_for(kernel_under_test: Kernel, report: Report) -> None:
    if kernel_under_test.name != "newest":
        assert report.release.startswith(f"{kernel_under_test.name}.")


def test_works_as_catalogued(kernel_under_test: Kernel, report: Report) -> None:
    failures = {test: outcome.message for test, outcome in report.tests.items() if outcome.outcome != "passed"}
    surprises = [f"{test}\n{why}" for test, why in failures.items() if not kernel_under_test.explains(test)]
    assert not surprises, "\n\n".join(surprises)


def test_catalogue_is_up_to_date(kernel_under_test: Kernel, report: Report) -> None:
    failed = [test for test, outcome in report.tests.items() if outcome.outcome != "passed"]
    stale = [pattern for pattern in kernel_under_test.lacks if not any(fnmatchcase(test, pattern) for test in failed)]
    assert not stale


def test_nothing_is_left_out(report: Report, guests: dict[Kernel, Future[Report]]) -> None:
    """Every guest ran the same tests: the verdicts of the table among them, which hold on the running kernel too."""
    assert len(report.tests) > 800
    assert all(report.tests.keys() == other.result().tests.keys() for other in guests.values())
