"""What must hold of verdicts at any size, measured by running the programs: needs no interface and no other tool."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from statistics import median
from typing import TYPE_CHECKING, Final

from pyxdp.bench import rulesets
from pyxdp.bench.documents import INTERFACE, NODE
from pyxdp.bench.figures import Line, above, alternating
from pyxdp.bench.judging import REPEAT, Judged, each, empty
from pyxdp.bench.profiles import PROFILES
from pyxdp.bench.traffic import Traffic, encoded
from pyxdp.net import Interface
from pyxdp.resolver import resolve

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from pyxdp.bench.rulesets import RuleSet

#: The empty program on the machine that the bounds in nanoseconds are for; on a slower one they grow with it.
REFERENCE_NS: Final = 29.0
TEN_RULES_NS: Final = 40.0
BLOCKED_NS: Final = 25.0
MANY_RULES: Final = 1.5
MANY_PREFIXES: Final = 1.25
MOST_INSTRUCTIONS: Final = 200_000


@dataclass(frozen=True)
class Size:
    """How much is measured.

    Attributes:
        rules: of the large policy.
        prefixes: in network sets of the large policy.
        rounds: of every measurement.
        repeat: runs of a program in one measurement.
    """

    rules: int = 10_000
    prefixes: int = 1_000_000
    rounds: int = 5
    repeat: int = REPEAT


def judged(ruleset: RuleSet) -> Judged:
    """Compile and load a generated policy."""
    interface = Interface(INTERFACE, 2)
    return Judged(resolve(ruleset.resources, NODE, [interface]), interface)


def verdicts(size: Size, say: Callable[[str], None] = lambda _: None) -> list[Line]:
    """Measure four policies side by side: ten rules and many, ten prefixes and many.

    Args:
        size: how much.
        say: told what is being done.
    """
    few, many = rulesets.ten(), rulesets.wide(size.rules)
    short, long = rulesets.blocklist(10), rulesets.blocklist(size.prefixes)
    with ExitStack() as stack:
        runs: dict[tuple[str, str], Callable[[], float]] = {}
        controls: dict[tuple[str, str], Callable[[], float]] = {}
        traffic = stack.enter_context(Traffic())
        instructions = {}
        for ruleset in (few, many, short, long):
            say(f"compiling {ruleset.name}")
            made = stack.enter_context(judged(ruleset))
            instructions = made.instructions
            for name, packet in ruleset.packets.items():
                runs[ruleset.name, name] = made.on(packet, size.repeat)
                controls[ruleset.name, name] = empty(traffic, packet, size.repeat)
        say("running the programs")
        both = {("program", key): run for key, run in runs.items()}
        both |= {("control", key): run for key, run in controls.items()}
        found = alternating(size.rounds, both)
    measured = _Measured({key: (found["program", key], found["control", key]) for key in runs})
    return [
        measured.ten(few),
        measured.many_rules(many, few, size.rules),
        measured.many_prefixes(long, short, size.prefixes),
        measured.blocked(long, size.prefixes),
        headroom(instructions),
    ]


def headroom(instructions: Mapping[str, int]) -> Line:
    """Hold what the verifier processed against the bound."""
    title = "instructions that the verifier processed, most of any program"
    worst = max(instructions.values(), default=None)
    note = "" if instructions else "the kernel tells since Linux 5.16"
    return Line(title, worst, "", most=MOST_INSTRUCTIONS, note=note, detail=dict(instructions))


class _Measured:
    """What was measured of each (policy, packet): rounds of the program, rounds of the control."""

    def __init__(self, rounds: Mapping[tuple[str, str], tuple[Sequence[float], Sequence[float]]]) -> None:
        self._rounds = rounds
        self._slower = max(1.0, median(value for _, control in rounds.values() for value in control) / REFERENCE_NS)

    def ten(self, few: RuleSet) -> Line:
        costs = self._costs(few)
        title = "XDP verdict, 10 rules, over an empty XDP_DROP, slowest packet"
        return Line(title, max(costs.values()), "ns", most=self._bound(TEN_RULES_NS), note=self._note, detail=costs)

    def many_rules(self, many: RuleSet, few: RuleSet, rules: int) -> Line:
        costs, base = self._costs(many), median(self._costs(few).values())
        title = f"XDP verdict, {rules:,} rules (first, middle, last, none matched), slowest packet, to 10 rules"
        return Line(title, max(costs.values()) / base, "x", most=MANY_RULES, detail={**costs, "10 rules": base})

    def many_prefixes(self, long: RuleSet, short: RuleSet, prefixes: int) -> Line:
        costs, base = self._costs(long), self._costs(short)
        ratios = {name: costs[name] / base[name] for name in costs}
        title = f"XDP verdict, {prefixes:,} IPv4 CIDRs in network sets, one flow, slowest packet, to 10 CIDRs"
        detail = {**costs, **{f"10 CIDRs, {name}": cost for name, cost in base.items()}}
        return Line(title, max(ratios.values()), "x", most=MANY_PREFIXES, detail=detail)

    def blocked(self, long: RuleSet, prefixes: int) -> Line:
        name = next(iter(long.packets))
        program, control = self._rounds[long.name, name]
        title = f"source denied by the first rule, blocklist of {prefixes:,} CIDRs, over an empty XDP_DROP"
        samples = tuple(one - other for one, other in zip(program, control, strict=True))
        bound = self._bound(BLOCKED_NS)
        return Line(title, above(program, control), "ns", most=bound, note=self._note, samples=samples)

    def _costs(self, ruleset: RuleSet) -> dict[str, float]:
        return {name: above(*self._rounds[ruleset.name, name]) for name in ruleset.packets}

    def _bound(self, nanoseconds: float) -> float:
        return round(nanoseconds * self._slower, 1)

    @property
    def _note(self) -> str:
        if self._slower == 1:
            return ""
        return (
            f"the bound grew with the empty program, {self._slower:.2f} times slower here than on the reference machine"
        )


def flows(
    policies: Iterable[Callable[[], RuleSet]], size: Size, say: Callable[[str], None] = lambda _: None
) -> list[Line]:
    """Measure policies on many flows each: addresses and ports that no cache has just seen. There is no target.

    Args:
        policies: makes a rule set with flows each.
        size: rounds and repeat count.
        say: told what is being done.
    """
    lines = []
    for make in policies:
        ruleset = make()
        say(f"many flows: {ruleset.name}")
        with judged(ruleset) as made, Traffic(encoded(ruleset.flows)) as traffic:
            runs = {"program": made.over(traffic, size.repeat), "floor": each(traffic, traffic.drop, size.repeat)}
            found = alternating(size.rounds, runs)
            title = f"{ruleset.name}, {len(ruleset.flows):,} flows in turn, over an empty XDP_DROP"
            detail = {"instructions": made.instructions.get("pyxdp_xdp"), "memory_mib": made.memory / 2**20}
            detail |= made.seconds
            lines.append(Line(title, above(found["program"], found["floor"]), "ns", detail=detail))
    return lines


def resembling(size: Size) -> Iterable[Callable[[], RuleSet]]:
    """Go through the rule sets that resemble real ones, to be made one at a time."""
    yield partial(rulesets.blocklist, size.prefixes)
    yield partial(rulesets.blocklist, 15_000, shape="country")
    yield rulesets.node
    for name in PROFILES:
        for count in sorted({min(1000, size.rules), size.rules}):
            yield partial(rulesets.family, name, count)
