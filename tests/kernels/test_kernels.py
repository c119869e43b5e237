"""The object of the wheel does on every kernel what it does here."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.kernels.catalog import Kernel
    from tests.kernels.guests import Report


def test_boots_the_kernel_that_was_asked_for(kernel_under_test: Kernel, report: Report) -> None:
    if kernel_under_test.name != "newest":
        assert report.release.startswith(f"{kernel_under_test.name}.")


def test_everything_works(kernel_under_test: Kernel, report: Report) -> None:
    failed = [f"{test}\n{outcome.message}" for test, outcome in report.tests.items() if outcome.outcome != "passed"]
    assert not failed, "\n\n".join(failed)
