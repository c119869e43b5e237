"""Names of hosts, looked up without ever waiting long: who changes policy may have lost the way to DNS."""

from __future__ import annotations

import socket
import threading
import time
from ipaddress import ip_address
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pyxdp.net import Address

#: Seconds that somebody waits for an answer; it may still come, for whoever asks later.
_WAIT: Final = 1.0
#: Seconds for which an answer counts, and that there was none.
_REMEMBERED: Final = 60.0


class Names:
    """What is known of names. For several threads."""

    def __init__(self) -> None:
        self._addresses: dict[str, frozenset[Address]] = {}
        self._asked: dict[str, float] = {}

    def addresses(self, name: str) -> frozenset[Address]:
        """Return the addresses of a host that are known in a moment; those of the last time if nobody answers."""
        now = time.monotonic()
        if now - self._asked.get(name, float("-inf")) >= _REMEMBERED:
            self._asked[name] = now
            # One that never ends must not keep the process from ending. It is in the namespace of who starts it.
            asking = threading.Thread(target=self._ask, args=(name,), daemon=True)
            asking.start()
            asking.join(_WAIT)
        return self._addresses.get(name, frozenset())

    def _ask(self, name: str) -> None:
        try:
            found = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError):
            return
        self._addresses[name] = frozenset(ip_address(str(end[0]).partition("%")[0]) for *_, end in found)
