"""What happens, one burst at a time."""

from __future__ import annotations

import time
from enum import Enum, auto
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyxdp.sources import Delivery

#: With the time at which it came.
_Stamped: TypeAlias = "tuple[Event | Delivery, float]"


class Event(Enum):
    """What can happen beside a delivery."""

    INTERFACES = auto()
    """Links or addresses have changed."""
    DISTRUST = auto()
    """Somebody wants everything to be read back, and to be made right."""
    STOP = auto()
    """The agent is to end."""


class Inbox:
    """Takes what happens from any thread, and gives it to one. A burst comes out at once, when it seems to be over."""

    def __init__(self, quiet: float, patience: float, *, clock: Callable[[], float] = time.monotonic) -> None:
        """Be empty.

        Args:
            quiet: seconds without anything new that end a burst.
            patience: seconds after its beginning at which a burst is given out anyway.
            clock: seconds that never go back.
        """
        self._quiet = quiet
        self._patience = patience
        self._clock = clock
        self._queue: SimpleQueue[_Stamped] = SimpleQueue()

    def put(self, happened: Event | Delivery) -> None:
        """Note that something has happened; for any thread, and for signal handlers."""
        self._queue.put((happened, self._clock()))

    @property
    def empty(self) -> bool:
        """Nothing waits."""
        return self._queue.empty()

    def take(self, timeout: float) -> list[_Stamped]:
        """Return the next burst, each event with the time at which it came; nothing if there is none in time.

        Args:
            timeout: seconds to wait for its beginning.
        """
        found: list[_Stamped] = []
        deadline, wait = 0.0, timeout
        while wait >= 0:
            try:
                found.append(self._queue.get(timeout=wait))
            except Empty:
                break
            if found[-1][0] is Event.STOP:
                break
            deadline = deadline or self._clock() + self._patience
            wait = min(self._quiet, deadline - self._clock())
        return found
