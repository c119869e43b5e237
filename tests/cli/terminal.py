"""A terminal for the command."""

from __future__ import annotations

import os
import pty
import select

#: A terminal that can move its cursor, whatever the tests are run on.
XTERM = {**os.environ, "TERM": "xterm"}


class Terminal:
    """Our side of a terminal that a process writes to."""

    def __init__(self) -> None:
        self._ours, self.theirs = pty.openpty()
        self.seen = ""

    def read(self) -> str:
        """What has been written, when there is something new; empty when nobody can write any more."""
        assert select.select([self._ours], [], [], 60)[0], f"nothing more after {self.seen!r}"
        try:
            chunk = os.read(self._ours, 4096).decode()
        except OSError:  # how a terminal says so
            chunk = ""
        self.seen += chunk
        return chunk

    def close(self) -> None:
        os.close(self._ours)
