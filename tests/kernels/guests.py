"""Boots kernels in QEMU and collects what the guests report. The scripts beside this file do the work."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import subprocess
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tests.kernels.catalog import Kernel

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "pyxdp/kernels"
# Of what hangs: no machine is so busy.
FETCH_TIMEOUT = 1800.0
BOOT_TIMEOUT = 3600.0


class GuestError(Exception):
    """A kernel can not be fetched, does not boot, or its report breaks off. The message has the end of the log."""


@dataclass(frozen=True)
class Outcome:
    """What became of one test in a guest.

    Attributes:
        outcome: ``passed``, ``failed`` or ``skipped``.
        message: why it did not pass, else empty.
        facts: what the test recorded.
    """

    outcome: str
    message: str
    facts: Mapping[str, Any]


@dataclass(frozen=True)
class Report:
    """What a guest reported.

    Attributes:
        release: as ``uname -r`` says.
        tests: outcomes by pytest's node id.
    """

    release: str
    tests: Mapping[str, Outcome]


def fetch(kernel: Kernel) -> Path:
    """Return the folder of a kernel in the cache, after fetching it if it is missing or was made by other scripts.

    Raises:
        GuestError: the suite's mirror can not be reached.
    """
    makers = (HERE / "kernel", HERE / "guest/initrd-init")
    key = hashlib.sha256(b"".join(maker.read_bytes() for maker in makers)).hexdigest()[:8]
    folder = CACHE / f"{kernel.suite}-{key}"
    with _locked():
        if not folder.exists():
            _run(str(HERE / "kernel"), kernel.suite, kernel.package, str(folder), timeout=FETCH_TIMEOUT)
    return folder


def build_image(wheel: Path, image: Path, *selection: str) -> None:
    """Make the disk of the guests, which runs the selected tests with the wheel.

    Raises:
        GuestError: a package can not be had, or the wheel can not be installed.
    """
    with _locked():
        _run(str(HERE / "rootfs"), str(wheel), str(image), *selection, timeout=FETCH_TIMEOUT)


def build_machine(wheel: Path, image: Path) -> None:
    """Make the disk of a machine with systemd, which lives through what ``guest/machine/life.py`` says.

    Raises:
        GuestError: a package can not be had, or the wheel can not be installed.
    """
    with _locked():
        _run(str(HERE / "machine"), str(wheel), str(image), timeout=FETCH_TIMEOUT)


def run_guest(folder: Path, image: Path, logs: Path, *, reboots: bool = False) -> Report:
    """Boot a kernel on an image; return when the guest has powered off.

    Args:
        folder: of the kernel, from :func:`fetch`.
        image: from :func:`build_image` or :func:`build_machine`; not changed.
        logs: existing folder for the console and the report.
        reboots: whether the guest may do so; what it wrote to its disk is there then. Otherwise that is its end.

    Raises:
        GuestError: the guest hung, or its report is not whole.
    """
    console, report = logs / "console.log", logs / "report.jsonl"
    options = ("-action", "reboot=reset") if reboots else ()
    try:
        _run(str(HERE / "boot"), *map(str, (folder, image, console, report)), *options, timeout=BOOT_TIMEOUT)
        return _parse(report.read_text(encoding="utf-8"))
    except (GuestError, OSError, ValueError, KeyError) as error:
        raise GuestError(f"{error}\n{console}:\n{_tail(console)}") from error


def _parse(text: str) -> Report:
    *records, last = [json.loads(line) for line in text.splitlines()] or [{}]
    tests: dict[str, Outcome] = {}
    for record in records:  # of a test that fails twice, in its body and in its teardown, the first tells more
        tests.setdefault(record["test"], Outcome(record["outcome"], record["message"], record["facts"]))
    return Report(last["release"], tests)


def _tail(console: Path) -> str:
    return console.read_text(encoding="utf-8", errors="replace")[-4000:] if console.exists() else "(empty)"


def _run(*command: str, timeout: float) -> None:
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise GuestError(f"{' '.join(command)}: not done in {timeout:.0f} s") from error
    if done.returncode:
        raise GuestError(f"{' '.join(command)}: status {done.returncode}\n{done.stderr[-4000:]}")


@contextmanager
def _locked() -> Iterator[None]:
    """Let one process at a time fill the cache."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
