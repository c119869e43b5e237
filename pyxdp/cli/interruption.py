"""Ctrl-C and SIGTERM: at once where nothing is at stake, between two operations where the kernel is being changed.

``apply`` survives being killed anywhere, so these signals could simply end it. But then somebody would have to run it
again to remove what is half done; and an exception that comes up inside an operation could undo what is in force. So
while operations are carried out a signal waits for the next call of :meth:`Interruption.check`.
"""

from __future__ import annotations

import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)


class Interrupted(BaseException):
    """Somebody wants the command to end.

    Attributes:
        signal: which signal said so.
        consequence: what became of what was being done; may be empty.
    """

    def __init__(self, number: int, consequence: str = "") -> None:
        self.signal = signal.Signals(number)
        self.consequence = consequence
        super().__init__(f"interrupted by {self.signal.name}")

    @property
    def exit_code(self) -> int:
        """What a shell reports of a process that the signal killed."""
        return 128 + self.signal


class Interruption:
    """The two signals of this process.

    Attributes:
        pending: number of a signal that came while it had to wait; 0 when none did.
    """

    def __init__(self) -> None:
        self.pending = 0
        self._waits = False
        self._settled = False

    @contextmanager
    def handled(self) -> Iterator[None]:
        """Turn the signals into :class:`Interrupted`, unless whoever started us has them ignored."""
        before = {number: signal.getsignal(number) for number in _SIGNALS}
        for number, handler in before.items():
            if handler is not signal.SIG_IGN:
                signal.signal(number, self._on_signal)
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    @contextmanager
    def deferred(self) -> Iterator[None]:
        """After the first :meth:`check` in this block, signals wait for the next one."""
        try:
            yield
        finally:
            self._waits = self._settled

    def settle(self) -> None:
        """What was to be done is done: from here on signals are only noted, and the command tells its result."""
        self._waits = self._settled = True

    def check(self, *, final: bool = False) -> None:
        """Let a signal come through that waits; with ``final`` it goes on waiting, for what is done is done.

        Raises:
            Interrupted: a signal waits.
        """
        self._waits = True
        if self.pending and not final:
            raise Interrupted(self.pending)

    def _on_signal(self, number: int, _: FrameType | None) -> None:
        if self._waits:
            self.pending = number
        else:
            raise Interrupted(number)
