"""An agent ends, in whatever way, and begins again: what is denied never passes."""

from __future__ import annotations

import os
import signal
import socket
import sys
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from tests.agent.processes import started
from tests.agent.running import write
from tests.agent.test_following import denied, start
from tests.lab.flood import Stream, flood, receivers, udp
from tests.lab.waiting import wait_until
from tests.veth.host import NODE, Host, service

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.long

KILLS = int(os.environ.get("PYXDP_KILLS", "2"))


def test_a_denied_flow_never_passes(host: Host, folder: Path) -> None:
    """While a flood is running: killed, ended, begun again, with changes in between."""
    streams = [Stream(udp((host.peer.ipv4, 4000), (host.end.ipv4, port)), ports=16) for port in (7001, 7002)]
    start(host, folder)
    with ExitStack() as stack:
        process = stack.enter_context(started(host, folder))
        generation = host.status().generation
        heard = stack.enter_context(receivers(host.end, [(host.end.ipv4, 7001), (host.end.ipv4, 7002)]))
        generator = stack.enter_context(flood(host.peer, host.end, streams))
        stack.enter_context(generator.running(burst=1 << 14))
        for number in range(KILLS):
            end = signal.SIGTERM if number % 2 else signal.SIGKILL
            assert process.end(end) == (0 if end == signal.SIGTERM else -end)
            assert denied(host) == {7001}
            before = heard.received[1]
            wait_until(lambda at=before: heard.received[1] > at)
            process = stack.enter_context(started(host, folder))
            assert host.status().generation == generation, "what is in force is adopted"
            write(folder, "b.yaml", service(8000 + number, "Deny"))
            wait_until(lambda port=8000 + number: denied(host, [port]))
            generation = host.status().generation
        assert heard.received[0] == 0
        assert generator.sent[0] > 1000
        process.end(signal.SIGTERM)
        messages = [line["message"] for line in process.lines()]
        assert "enforced" in messages
        assert messages[-1] == "ends; policy stays in force"


def test_what_systemd_is_told(host: Host, folder: Path, tmp_path: Path) -> None:
    start(host, folder)
    address = tmp_path / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(address))
        manager.settimeout(60)
        env = {"NOTIFY_SOCKET": str(address), "WATCHDOG_USEC": "200000"}
        told: list[str] = []

        def wait_for(beginning: str) -> str:
            while not told or not told[-1].startswith(beginning):
                told.append(manager.recv(4096).decode())
            return told.pop()

        with started(host, folder, env=env) as process:
            wait_for("READY=1")
            assert wait_for("STATUS=enforcing").startswith("STATUS=enforcing, generation ")
            for _ in range(3):
                wait_for("WATCHDOG=1")
            process.popen.send_signal(signal.SIGHUP)
            assert "\nMONOTONIC_USEC=" in wait_for("RELOADING=1")
            wait_for("READY=1")
            write(folder, "a.yaml", "kind: [")
            assert "; 1 wrong" in wait_for("STATUS=enforcing, generation 1; 1")
            assert process.end(signal.SIGTERM) == 0
            wait_for("STOPPING=1")


_BROKEN = """
import sys
from pyxdp.cli.main import main
from pyxdp.sources import FolderSource

def look(*_):
    raise RuntimeError("a bug")

FolderSource._look = look
sys.exit(main(sys.argv[1:]))
"""


def test_an_agent_does_not_outlive_its_threads(host: Host, folder: Path) -> None:
    """It would seem to be well, and follow nothing. Whoever runs it begins anew."""
    start(host, folder)
    arguments = ("agent", str(folder), "--node", NODE, "--bpffs", str(host.bpffs), "--listen", "none")
    done = host.space.run(sys.executable, "-c", _BROKEN, *arguments, check=False, timeout=60)
    assert done.returncode > 0
    assert "RuntimeError: a bug" in done.stderr
