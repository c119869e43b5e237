"""What a packet costs against the number of rules or prefixes: pyxdp and its rivals, on the same flows in turns."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, field
from statistics import median
from typing import TYPE_CHECKING, Any, Final

from bench.cable import LeakError, cable
from bench.rivals import RIVALS, SetUpError
from pyxdp.bench import rulesets
from pyxdp.bench.figures import above, alternating
from pyxdp.bench.judging import each
from pyxdp.bench.traffic import Traffic, encoded
from pyxdp.bpf import features

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bench.cable import Cable
    from bench.rivals import Kind, Rival
    from pyxdp.bench.rulesets import RuleSet
    from pyxdp.bpf import Program

#: What an empty XDP_DROP takes on the cable: what generator and veth cost by themselves.
FLOOR: Final = "floor"


@dataclass
class Point:
    """All firewalls at one size.

    Attributes:
        entries: rules or prefixes.
        run: nanoseconds over an empty program, by ``BPF_PROG_TEST_RUN``, of what is at XDP.
        rate: frames a second on the cable, one CPU; ``floor``: of an empty program.
        absent: why a firewall has no figure.
    """

    entries: int
    run: dict[str, float] = field(default_factory=dict)
    rate: dict[str, float] = field(default_factory=dict)
    absent: dict[str, str] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """Return all of it."""
        return {"entries": self.entries, "run_ns": self.run, "frames_per_second": self.rate, "absent": self.absent}


def curve(kind: Kind, sizes: Sequence[int], rounds: int, repeat: int, say: Callable[[str], None]) -> list[Point]:
    """Measure all firewalls at all sizes.

    Args:
        kind: what grows: ``prefixes`` of a blocklist, or ``rules`` of a prefix and a port each.
        sizes: how many.
        rounds: of every measurement.
        repeat: runs of a program in one measurement.
        say: told what is being done.
    """
    make = {"prefixes": rulesets.blocklist, "rules": rulesets.denials}[kind]
    return [_point(kind, make(entries), entries, rounds, repeat, say) for entries in sizes]


class _Arena:
    """All firewalls of one point: cables, and programs with the flows that they are run on."""

    def __init__(self, stack: ExitStack, ruleset: RuleSet) -> None:
        self._stack = stack
        self._ruleset = ruleset
        self.cables: dict[str, Cable] = {}
        self.programs: dict[str, tuple[Traffic, Program]] = {}

    def add_floor(self) -> None:
        """Add an empty program."""
        flows = encoded(self._ruleset.flows)
        made = self._stack.enter_context(cable(flows))
        traffic = self._stack.enter_context(Traffic(flows))
        with made.host.entered():
            self._stack.enter_context(traffic.drop.attach_xdp(made.receiver.ifindex))
        self.cables[FLOOR], self.programs[FLOOR] = made, (traffic, traffic.drop)

    def add(self, rival: Rival) -> str:
        """Put a firewall in place; return why that was not possible, or nothing."""
        flows = encoded(self._ruleset.flows[: rival.flows])
        own = self._stack.enter_context(ExitStack())
        try:
            made = own.enter_context(cable(flows))
            traffic = own.enter_context(Traffic(flows))
            if rival.in_stack:
                with made.host.entered():
                    own.enter_context(traffic.passing.attach_xdp(made.receiver.ifindex))
            program = own.enter_context(rival.set_up(made, self._ruleset))
        except SetUpError as error:
            own.close()
            return str(error)
        self.cables[rival.name] = made
        if program is not None:
            self.programs[rival.name] = traffic, program
        return ""


def _point(  # noqa: PLR0913, PLR0917 - what a point is made of
    kind: Kind, ruleset: RuleSet, entries: int, rounds: int, repeat: int, say: Callable[[str], None]
) -> Point:
    point = Point(entries)
    with ExitStack() as stack:
        arena = _Arena(stack, ruleset)
        arena.add_floor()
        for rival in RIVALS:
            why = rival.obstacle(kind, entries)
            if not why:
                say(f"{entries:,} {kind}: {rival.title}")
                why = arena.add(rival)
            if why:
                point.absent[rival.name] = why
        say(f"{entries:,} {kind}: measuring")
        runs = {name: each(traffic, program, repeat) for name, (traffic, program) in arena.programs.items()}
        found = alternating(rounds, runs)
        point.run = {name: above(samples, found[FLOOR]) for name, samples in found.items() if name != FLOOR}
        if features.probe().live_frames:
            _rates(point, arena.cables, rounds)
    return point


def _rates(point: Point, cables: dict[str, Cable], rounds: int) -> None:
    point.absent |= {name: why for name, it in cables.items() if (why := _leak(it))}
    tight = {name: it.checked for name, it in cables.items() if name not in point.absent}
    found = alternating(rounds, tight)
    point.rate = {name: 1e9 / median(samples) for name, samples in found.items()}


def _leak(made: Cable) -> str:
    """Calibrate a cable; return why its figures would say nothing, or nothing."""
    try:
        made.calibrate()
        made.checked()
    except LeakError as error:
        return str(error)
    return ""
