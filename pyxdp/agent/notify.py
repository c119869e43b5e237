"""What systemd is told: sd_notify(3), of which this is all that is needed."""

from __future__ import annotations

import os
import socket
import time
from contextlib import suppress


class Notifier:
    """Tells the service manager how the service is; nobody, where there is none.

    Attributes:
        watchdog: seconds within which it wants a sign of life; 0 when it wants none.
    """

    def __init__(self) -> None:
        """Take what the service manager has put into the environment."""
        self._address = os.environ.get("NOTIFY_SOCKET", "")
        ours = os.environ.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        self.watchdog = int(os.environ.get("WATCHDOG_USEC", "0")) / 1e6 if ours and self._address else 0.0

    def ready(self) -> None:
        """It does what it is there for; also after :meth:`reloading`."""
        self._tell("READY=1")

    def reloading(self) -> None:
        """It is about to look at everything anew."""
        self._tell(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def stopping(self) -> None:
        """It is about to end."""
        self._tell("STOPPING=1")

    def status(self, text: str) -> None:
        """Say in a line how it is."""
        self._tell("STATUS=" + text.replace("\n", "; "))

    def alive(self) -> None:
        """Give a sign of life."""
        if self.watchdog:
            self._tell("WATCHDOG=1")

    def _tell(self, text: str) -> None:
        if not self._address:
            return
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        # Nobody may listen any more, and that is no reason to end.
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as made:
            made.sendto(text.encode(), address)
