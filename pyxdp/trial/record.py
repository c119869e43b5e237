"""A journey that keeps a record of what happened at each hook."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pyxdp.abi import Limit, Reason
from pyxdp.trial.journey import Journey
from pyxdp.trial.judgement import XDP, Passage

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pyxdp.abi import Name
    from pyxdp.dataplane.trial import Trial
    from pyxdp.evaluator import Context
    from pyxdp.trial.hooks import Asked, Hook
    from pyxdp.trial.journey import Frames, Route

_REASON_NAMES: Final = {int(reason): reason.name for reason in Reason}


class Ledger:
    """What the programs count, and what of it is new."""

    def __init__(self, trial: Trial, names: Mapping[int, Name]) -> None:
        """Take everything that was counted so far as known.

        Args:
            trial: the programs.
            names: which rule each counter is of.
        """
        self._trial = trial
        self._names = names
        self._rules, self._reasons = self._read()

    def news(self) -> tuple[tuple[tuple[Name, int], ...], tuple[tuple[str, int], ...]]:
        """Return the rules and the reasons that were counted since the last call, with how often."""
        rules, reasons = self._rules, self._reasons
        self._rules, self._reasons = self._read()
        counted = [(self._names[at], rise) for at, rise in _rises(rules, self._rules)]
        told = [(_REASON_NAMES[at % Limit.REASONS], rise) for at, rise in _rises(reasons, self._reasons)]
        return tuple(counted), tuple(told)

    def _read(self) -> tuple[list[int], list[int]]:
        return self._trial.packets(max(self._names, default=-1) + 1), self._trial.reasons()


class RecordedJourney(Journey):
    """A journey with a record.

    Attributes:
        passages: hook by hook, as far as the packet came.
    """

    def __init__(
        self, route: Route, frames: Frames, context: Context, ledger: Ledger, programs: Mapping[int, str]
    ) -> None:
        """See :class:`Journey`.

        Args:
            route: where it leads.
            frames: the packet.
            context: what is known beyond it.
            ledger: of the programs.
            programs: name of each program by its number.
        """
        self._asked: list[str] = []
        self._programs = programs
        self._ledger = ledger
        self.passages: list[Passage] = []
        super().__init__(route, frames, context)
        self._passenger.seen = []

    def _prepared(self, frame: bytes, came_in_by: int) -> Asked:
        return _Overheard(super()._prepared(frame, came_in_by), self._asked, self._programs)

    def _leave(self, hook: Hook | None, *, dropped: bool) -> None:
        counted, reasons = self._ledger.news()
        seen = self._passenger.seen or []
        self.passages.append(
            Passage(
                hook=XDP if hook is None else str(hook),
                programs=tuple(self._asked),
                counted=counted,
                reasons=reasons,
                dropped=dropped,
                rules=tuple(seen),
            )
        )
        self._asked.clear()
        seen.clear()


class _Overheard:
    """A frame of which we know who was asked about it."""

    def __init__(self, frame: Asked, asked: list[str], programs: Mapping[int, str]) -> None:
        self._frame = frame
        self._asked = asked
        self._programs = programs

    def answer(self, program: int) -> int:
        self._asked.append(self._programs[program])
        return self._frame.answer(program)


def _rises(before: Sequence[int], after: Sequence[int]) -> list[tuple[int, int]]:
    return [(at, new - old) for at, (old, new) in enumerate(zip(before, after, strict=True)) if new != old]
