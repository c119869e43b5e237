"""Watching a plan being carried out: progress for people, and signals between its operations."""

from __future__ import annotations

import logging
from contextlib import ExitStack
from typing import TYPE_CHECKING

from pyxdp.cli.interruption import Interrupted
from pyxdp.cli.progress import Bar
from pyxdp.errors import PyxdpError
from pyxdp.planner import Switch

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from typing_extensions import Self

    from pyxdp.cli.interruption import Interruption
    from pyxdp.dataplane import Step

_LOG = logging.getLogger(__name__)


class Watch:
    """Around one change of the dataplane; give it :meth:`on_progress`.

    A signal ends the change before its next operation, and the dataplane goes back. Once that is not possible, as the
    new policy is in force, what is left is finished instead.

    Args:
        interruption: the signals.
        title: what is done until the first operation.
        before: called before the first operation.
        final: from the first operation on there is no way back.
    """

    def __init__(
        self,
        interruption: Interruption,
        title: str,
        *,
        before: Callable[[], None] | None = None,
        final: bool = False,
    ) -> None:
        self._interruption = interruption
        self._title = title
        self._before = before
        self._final = final
        self._started = False
        self._bars = ExitStack()

    def __enter__(self) -> Self:
        self._bars.enter_context(self._interruption.deferred())
        self._bar = self._bars.enter_context(Bar(self._title))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bars.close()
        number = self._interruption.pending
        if isinstance(error, Interrupted):
            error.consequence = "nothing was changed"
        elif isinstance(error, PyxdpError) and number:
            # Ctrl-C reaches the iptables commands that we have started too, and they fail.
            raise Interrupted(number, error.hint or "nothing was changed") from error
        elif error is None and number:
            _LOG.warning("interrupted when the change was made already: it was finished")

    def done(self) -> None:
        """The change is made, if there was one to make; the result can be told."""
        if self._started:
            self._interruption.settle()
        self._bars.close()

    def on_progress(self, step: Step) -> None:
        """Take note of a step."""
        self._started = True
        if self._before is not None:
            before, self._before = self._before, None
            self._bar.close()
            before()
            self._bar = self._bars.enter_context(Bar(self._title))
        self._interruption.check(final=self._final)
        self._final = self._final or isinstance(step.operation, Switch)
        self._bar.update((step.number - 1 + step.fraction) / step.total, str(step.operation)[:60])
