"""The way of a packet through XDP and the tables, by the very rules that iptables is given.

:mod:`pyxdp.xtables.chains` says what the rules are; here they are walked. What depends only on the interface and on
where the packet comes from and goes to is settled once (:func:`ways`); for each packet remain connection tracking, the
mark and the answers of the programs.
"""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from pyxdp.evaluator import Direction, Path
from pyxdp.trial.judgement import Stage
from pyxdp.xtables.chains import JUMPS, Goto, Jump, Rule, State, Table, Target

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pyxdp.xtables.chains import Chains, Entry

#: An interface that no host endpoint governs: the other one of a forwarded packet.
ELSEWHERE: Final = "elsewhere"


class Hook(NamedTuple):
    """A built-in chain of a table."""

    table: Table
    builtin: str

    def __str__(self) -> str:
        return f"{self.table.value} {self.builtin}"


RAW_IN: Final = Hook(Table.RAW, "PREROUTING")
RAW_OUT: Final = Hook(Table.RAW, "OUTPUT")
MANGLE_IN: Final = Hook(Table.MANGLE, "PREROUTING")
MANGLE_OUT: Final = Hook(Table.MANGLE, "POSTROUTING")
INPUT: Final = Hook(Table.FILTER, "INPUT")
OUTPUT: Final = Hook(Table.FILTER, "OUTPUT")
FORWARD: Final = Hook(Table.FILTER, "FORWARD")

#: Hooks that see the destination before DNAT: nat comes after mangle in PREROUTING, and after raw in OUTPUT.
BEFORE_DNAT: Final = frozenset({RAW_IN, RAW_OUT, MANGLE_IN})

#: How far a packet is followed; in the last stage every hook is passed.
HOOKS_OF_STAGE: Final = {
    Stage.UNTRACKED: (RAW_IN, RAW_OUT),
    Stage.PRE_DNAT: (RAW_IN, RAW_OUT, MANGLE_IN),
}

_FORWARDED: Final = (RAW_IN, MANGLE_IN, FORWARD, MANGLE_OUT)
#: In the order of the kernel. A hook that has no rule of ours for the packet's interfaces is left out later.
_ORDER: Final = {
    (Direction.INGRESS, Path.LOCAL): (RAW_IN, MANGLE_IN, INPUT),
    (Direction.INGRESS, Path.FORWARD): _FORWARDED,
    (Direction.EGRESS, Path.LOCAL): (RAW_OUT, OUTPUT, MANGLE_OUT),
    (Direction.EGRESS, Path.FORWARD): _FORWARDED,
}

#: Bits of what connection tracking may say.
STATE_BITS: Final = {state: 1 << number for number, state in enumerate(State)}
UNTRACKED: Final = STATE_BITS[State.UNTRACKED]
KNOWN: Final = STATE_BITS[State.RELATED] | STATE_BITS[State.ESTABLISHED]


class Step(IntEnum):
    """What a rule does; numbers, because they are compared for every packet."""

    ACCEPT = 0
    DROP = 1
    RETURN = 2
    JUMP = 3
    GOTO = 4
    SET_MARK = 5
    CLEAR_MARK = 6
    NOTRACK = 7


_STEPS: Final = {
    Target.ACCEPT: Step.ACCEPT,
    Target.DROP: Step.DROP,
    Target.REJECT: Step.DROP,
    Target.RETURN: Step.RETURN,
    Target.SET_MARK: Step.SET_MARK,
    Target.CLEAR_MARK: Step.CLEAR_MARK,
    Target.NOTRACK: Step.NOTRACK,
}


class WayRule(NamedTuple):
    """A rule that the packets of a way meet.

    Attributes:
        states: bits of which the packet needs one; 0: any packet.
        marked: the packet needs the mark.
        program: number of the program that must answer 1; negative: none is asked.
        step: what is done.
        chain: where a jump or goto leads.
        rule: as it was given.
    """

    states: int
    marked: bool
    program: int
    step: Step
    chain: tuple[WayRule, ...]
    rule: Rule


class Station(NamedTuple):
    """A hook on a way, and the rules there."""

    hook: Hook
    before_dnat: bool
    rules: tuple[WayRule, ...]


class Asked(Protocol):
    """A frame that programs answer questions about."""

    def answer(self, program: int) -> int:
        """Ask the program of this number."""
        ...


class Passenger:
    """A packet on its way.

    Attributes:
        states: bits of what connection tracking says.
        frame: as the hook that it is at sees it.
        marked: whether it carries the mark.
        known: a rule let it through because it belongs to a known connection.
        last_asked: number of the program that was asked last; negative: none.
        seen: rules that matched so far, if anybody wants to know.
    """

    __slots__ = ("frame", "known", "last_asked", "marked", "seen", "states")

    def __init__(self, states: int, frame: Asked) -> None:
        self.states = states
        self.frame = frame
        self.marked = False
        self.known = False
        self.last_asked = -1
        self.seen: list[Rule] | None = None

    def walk(self, rules: tuple[WayRule, ...]) -> Step | None:
        """Go through a chain: ``ACCEPT`` and ``DROP`` end the table, ``None`` goes back to where it was entered."""
        for rule in rules:
            if not self._meets(rule):
                continue
            step = rule.step
            if step >= Step.SET_MARK:
                self._change(step)
            elif step == Step.GOTO:
                return self.walk(rule.chain)
            elif step == Step.JUMP:
                verdict = self.walk(rule.chain)
                if verdict is not None:
                    return verdict
            else:
                return None if step == Step.RETURN else step
        return None

    def _meets(self, rule: WayRule) -> bool:
        """Whether the packet fulfils the rule's conditions; the program is asked last, as iptables does."""
        states, marked, program, _, _, given = rule
        if (states and not states & self.states) or (marked and not self.marked):
            return False
        if program >= 0:
            self.last_asked = program
            if not self.frame.answer(program):
                return False
        if states == KNOWN:
            self.known = True
        if self.seen is not None:
            self.seen.append(given)
        return True

    def _change(self, step: Step) -> None:
        if step == Step.NOTRACK:
            self.states = UNTRACKED
        else:
            self.marked = step == Step.SET_MARK


def ways(
    chains: Chains, interface: str, programs: Mapping[str, int]
) -> dict[tuple[Direction, Path], tuple[Station, ...]]:
    """Return the stations of the packets of an interface, by direction and path.

    Args:
        chains: rules of the endpoint that governs the interface.
        interface: its name.
        programs: number of each program by its name.
    """
    return {
        (direction, path): tuple(_stations(chains, hooks, _Ends.of(interface, direction, path), programs))
        for (direction, path), hooks in _ORDER.items()
    }


class _Ends(NamedTuple):
    """Interfaces of a packet; empty: it has none there."""

    incoming: str
    outgoing: str

    @classmethod
    def of(cls, interface: str, direction: Direction, path: Path) -> _Ends:
        other = ELSEWHERE if path is Path.FORWARD else ""
        return cls(interface, other) if direction is Direction.INGRESS else cls(other, interface)


def _stations(chains: Chains, hooks: Sequence[Hook], ends: _Ends, programs: Mapping[str, int]) -> list[Station]:
    stations = []
    for hook in hooks:
        # In PREROUTING the way out is not known yet, and behind INPUT there is none.
        known = ends._replace(outgoing="") if hook.builtin in ("PREROUTING", "INPUT") else ends
        known = known._replace(incoming="") if hook.builtin in ("OUTPUT", "POSTROUTING") else known
        entries = [entry for entry in JUMPS if (entry.table, entry.builtin) == hook]
        rules = [rule for entry in entries for rule in _enter(chains, entry, known, programs)]
        if rules:
            stations.append(Station(hook, hook in BEFORE_DNAT, tuple(rules)))
    return stations


def _enter(chains: Chains, entry: Entry, ends: _Ends, programs: Mapping[str, int]) -> tuple[WayRule, ...]:
    """Return a jump into one of our chains, or nothing when no rule there is for these interfaces."""
    chain = _settled(chains[entry.table], entry.chain, ends, programs)
    jump = WayRule(0, marked=False, program=-1, step=Step.JUMP, chain=chain, rule=Rule(target=Jump(entry.chain)))
    return (jump,) if chain else ()


def _settled(
    table: Mapping[str, tuple[Rule, ...]], chain: str, ends: _Ends, programs: Mapping[str, int]
) -> tuple[WayRule, ...]:
    settled = []
    for rule in table[chain]:
        if not (_is_on(rule.incoming, ends.incoming) and _is_on(rule.outgoing, ends.outgoing)):
            continue
        target = rule.target
        inner = _settled(table, target.chain, ends, programs) if isinstance(target, Jump | Goto) else ()
        if isinstance(target, Jump) and not inner:
            continue
        step = Step.JUMP if isinstance(target, Jump) else Step.GOTO if isinstance(target, Goto) else _STEPS[target]
        states = sum(STATE_BITS[state] for state in rule.states)
        number = programs[rule.program] if rule.program else -1
        settled.append(WayRule(states, rule.marked, number, step, inner, rule))
    return tuple(settled)


def _is_on(wanted: str, interface: str) -> bool:
    """Whether iptables' ``-i`` or ``-o`` takes the interface."""
    if wanted.endswith("+"):
        return interface.startswith(wanted[:-1])
    return not wanted or wanted == interface
