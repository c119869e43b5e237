"""One operation being carried out: how far it is, how to go back, and what goes on meanwhile."""

from __future__ import annotations

import logging
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import ExitStack

    from typing_extensions import Self

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
        """Undo everything, the last thing first, up to what can not be undone: it may need what came before it.

        Rules that stay where they are go on asking programs, which must not lose their answer. The next apply finds and
        removes what is left.
        """
        try:
            for undo in reversed(self._undos or []):
                undo()
        except Exception as error:  # noqa: BLE001 - what the caller raises is the error that led here
            _LOG.warning("while going back: %s", error)


class Meanwhile:
    """What is carried out in another thread while the next operations are: the kernel makes us wait often enough.

    Use as a context manager, which ends when all of it has.
    """

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(max_workers=1)
        self._begun: list[Future[None]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._threads.shutdown()

    def begin(self, call: Callable[[], None]) -> None:
        """Begin something that is done before the switch."""
        self._begun.append(self._threads.submit(call))

    def wait(self) -> None:
        """Wait for all that has begun, and raise what it raised."""
        begun, self._begun = self._begun, []
        for it in begun:
            it.result()

    def abandon(self) -> None:
        """Wait for all that has begun, to undo it; whether it failed, and how, does not matter any more."""
        for it in self._begun:
            with suppress(Exception):
                it.result()


class Attempt:
    """Given to whoever carries out an operation.

    Attributes:
        advance: to be called with how much of the operation is done, from 0 to 1; whatever it raises ends the attempt.
        on_failure: remembers a way back. What is undone may not have happened yet, or in part.
        held: closed when the whole plan is done.
        meanwhile: carries something out while the operations up to the switch are; called after ``on_failure``.
    """

    def __init__(
        self, advance: Callable[[float], None], way_back: WayBack, held: ExitStack, meanwhile: Meanwhile
    ) -> None:
        self.advance = advance
        self.on_failure = way_back.add
        self.held = held
        self.meanwhile = meanwhile.begin
