"""``pyxdp rules``."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from itertools import count as counting
from typing import TYPE_CHECKING, Any, Final

import click

import pyxdp
from pyxdp.cli.commands import KERNEL
from pyxdp.cli.commands import command as make_command
from pyxdp.cli.frames import Frames
from pyxdp.cli.interruption import Interrupted
from pyxdp.cli.status import rule_json, rules_to_tell
from pyxdp.cli.titles import action_of, title
from pyxdp.errors import OperatorError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pyxdp.cli.commands import Settings
    from pyxdp.cli.output import Output
    from pyxdp.dataplane import RuleStatus, Status

_NUMBERS: Final = ["PACKETS/S", "BYTES/S", "PACKETS", "BYTES"]
_SCALES: Final = ((1e9, " G"), (1e6, " M"), (1e3, " k"))
#: Rates below have a digit behind the point; from the other one on they have a unit.
_SMALL: Final = 10
_LARGE: Final = 100_000


@make_command(
    click.option(
        "--interval",
        type=click.FloatRange(min=0, min_open=True),
        default=1.0,
        show_default=True,
        metavar="SECONDS",
        help="Between two reads.",
    ),
    click.option("--count", type=click.IntRange(min=1), metavar="N", help="End after so many intervals."),
    click.option("--top", type=click.IntRange(min=1), metavar="N", help="Only the busiest rules."),
    click.option("--all", "everything", is_flag=True, help="Also list failsafe ports and defaults without packets."),
    *KERNEL,
    name="rules",
)
def command(settings: Settings, *, interval: float, count: int | None, top: int | None, everything: bool) -> None:
    """Show how many packets and bytes a second each rule matches, busiest first, until Ctrl-C."""
    with suppress(Interrupted), Frames(settings.output, settings.interruption) as frames:
        with frames.undisturbed():
            reader = _Reader(settings)
        for number in counting(1):
            if not frames.wait(interval):
                break
            frames.show(partial(_tell_next, settings.output, reader, top, everything=everything))
            if number == count:
                break


@dataclass(frozen=True, slots=True)
class RuleRate:
    """What a rule matched in an interval.

    Attributes:
        rule: with what it matched since it came into force.
        packets: in a second.
        bytes: likewise.
    """

    rule: RuleStatus
    packets: float
    bytes: float

    def as_json(self) -> dict[str, Any]:
        """Return the members of ``rules[]``."""
        return {**rule_json(self.rule), "packets_per_second": self.packets, "bytes_per_second": self.bytes}


def rates(before: Iterable[RuleStatus], after: Iterable[RuleStatus], seconds: float) -> list[RuleRate]:
    """Say what was matched between two reads, busiest first.

    What was not there before, or counted more then, has come into force in between: it began at 0.
    """
    known = {it.identity: it for it in before}
    found = []
    for rule in after:
        old = known.get(rule.identity)
        packets, length = (old.packets, old.bytes) if old and old.packets <= rule.packets else (0, 0)
        found.append(RuleRate(rule, (rule.packets - packets) / seconds, (rule.bytes - length) / seconds))
    return sorted(found, key=lambda it: (-it.packets, -it.rule.packets))


def amount(value: float) -> str:
    """``0``, ``0.3``, ``1,234``, ``12.3 M``."""
    if value >= _LARGE:
        scale, unit = next((scale, unit) for scale, unit in _SCALES if value >= scale)
        return f"{value / scale:.1f}{unit}"
    return f"{value:,.1f}" if 0 < value < _SMALL else f"{value:,.0f}"


class _Reader:
    """Reads counters, each time with what came since the last time."""

    def __init__(self, settings: Settings) -> None:
        self._dataplane = settings.dataplane()
        self._before, self._when = self._read()

    def next(self, *, everything: bool) -> tuple[float, list[RuleRate]]:
        """Return the seconds since the last call, or since this was made, and what came in them."""
        found, when = self._read()
        before, self._before = self._before, found
        seconds, self._when = when - self._when, when
        return seconds, rates(before.rules, rules_to_tell(found, everything=everything), seconds)

    def _read(self) -> tuple[Status, float]:
        found = pyxdp.status(self._dataplane, drift=False)
        if not found.applied:
            raise OperatorError("no policy is in force: there are no rules", hint="pyxdp apply")
        return found, time.monotonic()


def _tell_next(output: Output, reader: _Reader, top: int | None, *, everything: bool) -> None:
    seconds, found = reader.next(everything=everything)
    found = found[:top]
    output.table(["RULE", "ACTION", *_NUMBERS], [_row(it) for it in found], right=_NUMBERS)
    output.record({"time_ns": time.time_ns(), "seconds": seconds, "rules": [it.as_json() for it in found]})


def _row(rate: RuleRate) -> list[str]:
    colour = "green" if rate.packets else None
    live = [click.style(amount(value), fg=colour) for value in (rate.packets, rate.bytes)]
    return [title(rate.rule), action_of(rate.rule), *live, f"{rate.rule.packets:,}", f"{rate.rule.bytes:,}"]
