"""Counts what arrives at the ports of the machine, from before its network is up."""

from __future__ import annotations

import selectors
import socket
import threading
from collections import Counter
from contextlib import suppress

from tests.kernels.guest.machine.peer import PORTS
from tests.lab.waiting import wait_until

PATIENCE = 600.0


class Witness(threading.Thread):
    """Listens, for ever.

    Attributes:
        heard: datagrams by the name of their port.
    """

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.heard: Counter[str] = Counter(dict.fromkeys(PORTS, 0))
        self._selector = selectors.DefaultSelector()
        for name, port in PORTS.items():
            listener = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
            listener.bind(("", port))
            self._selector.register(listener, selectors.EVENT_READ, name)

    def run(self) -> None:
        """Count."""
        while True:
            for key, _ in self._selector.select():
                assert isinstance(key.fileobj, socket.socket)
                with suppress(BlockingIOError):
                    while key.fileobj.recv(64):
                        self.heard[key.data] += 1

    def wait_for(self, *names: str, count: int = 1) -> None:
        """Return when more has arrived at each of these ports."""
        before = self.heard.copy()
        wait_until(
            lambda: all(self.heard[name] >= before[name] + count for name in names),
            timeout=PATIENCE,
            what=f"datagrams at {names}",
        )

    def hears_now(self) -> list[str]:
        """Say what arrives from now on, while twenty datagrams arrive at each port that is always open."""
        always = [name for name in PORTS if "allowed" in name]
        self.wait_for(*always, count=5)  # what was under way has arrived
        before = self.heard.copy()
        self.wait_for(*always, count=20)
        return [name for name in PORTS if self.heard[name] > before[name]]
