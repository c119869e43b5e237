"""``pyxdp agent`` as a process of its own, which can be killed."""

from __future__ import annotations

import json
import os
import signal
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.error import URLError
from urllib.request import urlopen

from tests.lab.waiting import wait_until
from tests.veth.host import NODE

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator
    from pathlib import Path

    from tests.veth.host import Host

#: Nobody else is in the host's namespace.
PORT = 9469


@dataclass
class Process:
    """A running agent.

    Attributes:
        host: that it governs.
        log: file with its lines.
        popen: the process.
    """

    host: Host
    log: Path
    popen: subprocess.Popen[str]

    def lines(self) -> list[dict[str, Any]]:
        """Return what it has logged."""
        return [json.loads(line) for line in self.log.read_text().splitlines()]

    def ready(self) -> bool:
        """Whether /readyz says so."""
        assert self.popen.poll() is None, self.log.read_text()
        with self.host.space.entered():
            try:
                with urlopen(f"http://127.0.0.1:{PORT}/readyz", timeout=10) as answer:
                    return bool(answer.status == 200)
            except (URLError, ConnectionError):
                return False

    def end(self, number: int) -> int:
        """Send a signal, and return the exit code."""
        self.popen.send_signal(number)
        return self.popen.wait()


def launched(
    host: Host,
    folder: Path,
    *arguments: str,
    env: dict[str, str] | None = None,
    package: Path | None = None,
    log: Path | None = None,
) -> Process:
    """Start an agent; whoever called this ends it.

    Args:
        host: that it governs.
        folder: of manifests.
        arguments: more of them.
        env: added to that of the test.
        package: folder that holds the ``pyxdp`` to run; by default the one that tests run.
        log: file for its lines; by default beside the folder.
    """
    log = log or folder.parent / "log"
    command = [sys.executable, "-m", "pyxdp", "agent", str(folder), "--node", NODE, "--bpffs", str(host.bpffs)]
    command += ["--log", "json", "--state", str(folder.parent / "state"), *arguments]
    with log.open("w") as errors:
        popen = host.space.popen(*command, stderr=errors, env={**os.environ, **(env or {})}, cwd=package)
    return Process(host, log, popen)


@contextmanager
def started(host: Host, folder: Path, *arguments: str, env: dict[str, str] | None = None) -> Iterator[Process]:
    """Start an agent and wait until it is ready; kill it if it still lives."""
    process = launched(host, folder, *arguments, env=env)
    try:
        wait_until(process.ready)
        yield process
    finally:
        if process.popen.poll() is None:
            process.end(signal.SIGKILL)
