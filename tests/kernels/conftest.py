"""Boots every selected kernel once, some at a time; the tests wait for the reports."""

from __future__ import annotations

import json
import os
import subprocess
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from typing import TYPE_CHECKING

import pytest

from tests.kernels.catalog import KERNELS, SELECTION, Kernel
from tests.kernels.guests import ROOT, Report, build_image, fetch, run_guest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from concurrent.futures import Future
    from pathlib import Path


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test that takes ``kernel_under_test`` for each kernel."""
    if "kernel_under_test" in metafunc.fixturenames:
        metafunc.parametrize("kernel_under_test", KERNELS, ids=lambda kernel: kernel.name, scope="session")


@pytest.fixture(autouse=True)
def no_fd_leak() -> None:
    """Do not count file descriptors here: threads that run guests open and close theirs at any time."""


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this checkout."""
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run([ROOT / "scripts/wheel", folder], check=True, capture_output=True, stdin=subprocess.DEVNULL)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="session")
def guests(
    request: pytest.FixtureRequest, wheel: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[Kernel, Future[Report]]]:
    """The reports to come of the kernels that the selected tests ask for."""
    folder = tmp_path_factory.mktemp("guests")
    image = folder / "root.ext4"
    build_image(wheel, image, *SELECTION)

    def boot(kernel: Kernel) -> Report:
        logs = folder / kernel.name
        logs.mkdir()
        return run_guest(fetch(kernel), image, logs)

    wanted = {
        item.callspec.params.get("kernel_under_test") for item in request.session.items if hasattr(item, "callspec")
    }
    # One more than there are processors: guests wait at times, and the last of them should not run alone.
    with ThreadPoolExecutor(max_workers=(os.cpu_count() or 1) + 1) as executor:
        started = {kernel: executor.submit(boot, kernel) for kernel in KERNELS if kernel in wanted}
        yield started
    image.unlink()
    _write(ROOT / "build/kernels.json", started)


@pytest.fixture
def report(kernel_under_test: Kernel, guests: dict[Kernel, Future[Report]]) -> Report:
    """What the guest reported; fails when the kernel can not be had or does not boot."""
    return guests[kernel_under_test].result()


def _write(path: Path, started: dict[Kernel, Future[Report]]) -> None:
    reports = {kernel.name: asdict(done.result()) for kernel, done in started.items() if not done.exception()}
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(reports, indent=1) + "\n", encoding="utf-8")
