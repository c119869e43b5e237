"""One operation being carried out: how far it is, and how to go back."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from pyxdp.errors import PyxdpError

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import ExitStack

_LOG = logging.getLogger(__name__)


class WayBack:
    """What undoes the operations so far, until the switch makes them final."""

    def __init__(self) -> None:
        self._undos: list[Callable[[], None]] | None = []

    @property
    def final(self) -> bool:
        """There is no way back."""
        return self._undos is None

    def add(self, undo: Callable[[], None]) -> None:
        """Remember how to undo something."""
        if self._undos is not None:
            self._undos.append(undo)

    def give_up(self) -> None:
        """From here on only forward."""
        self._undos = None

    def go(self) -> None:
        """Undo everything, the last thing first.

        What can not be undone enforces nothing new; the next apply finds and removes it.
        """
        for undo in reversed(self._undos or []):
            try:
                undo()
            except PyxdpError as error:  # noqa: PERF203 - each one by itself
                _LOG.warning("while going back: %s", error)


class Attempt:
    """Given to whoever carries out an operation.

    Attributes:
        advance: to be called with how much of the operation is done, from 0 to 1; whatever it raises ends the attempt.
        on_failure: remembers a way back. What is undone may not have happened yet, or in part.
        held: closed when the whole plan is done.
    """

    def __init__(self, advance: Callable[[float], None], way_back: WayBack, held: ExitStack) -> None:
        self.advance = advance
        self.on_failure = way_back.add
        self.held = held
