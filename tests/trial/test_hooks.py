"""Walking rules as netfilter does: chains, jumps, marks, states, interfaces."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pyxdp.evaluator import Direction, Path
from pyxdp.net import HookSettings
from pyxdp.trial.hooks import STATE_BITS, UNTRACKED, Passenger, Step, ways
from pyxdp.xtables.chains import Goto, Jump, Rule, State, Table, Target, chains_for

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pyxdp.trial.hooks import Station

PROGRAMS = {"yes": 1, "no": 0}


class Answers:
    """A frame of which every program says its own number, and that remembers who was asked."""

    def __init__(self) -> None:
        self.asked: list[int] = []

    def answer(self, program: int) -> int:
        self.asked.append(program)
        return program


def stations(
    filter_input: Mapping[str, tuple[Rule, ...]], interface: str = "eth0", path: Path = Path.LOCAL
) -> tuple[Station, ...]:
    """What an incoming packet meets when these are all the chains of the filter table."""
    empty = {"PYXDP-PREROUTING": (), "PYXDP-OUTPUT": (), "PYXDP-POSTROUTING": ()}
    missing = dict.fromkeys(("PYXDP-INPUT", "PYXDP-OUTPUT", "PYXDP-FORWARD", "PYXDP-FORWARDED"), ())
    chains = {Table.RAW: empty, Table.MANGLE: empty, Table.FILTER: {**missing, **filter_input}}
    return ways(chains, interface, PROGRAMS)[Direction.INGRESS, path]


def walk(
    *rules: Rule, states: int = STATE_BITS[State.NEW], **chains: tuple[Rule, ...]
) -> tuple[Step | None, Passenger]:
    """Let a packet go through PYXDP-INPUT."""
    [station] = stations({"PYXDP-INPUT": rules, **chains})
    passenger = Passenger(states, Answers())
    return passenger.walk(station.rules), passenger


ACCEPT = Rule(target=Target.ACCEPT)
DROP = Rule(target=Target.DROP)


def test_the_first_rule_that_matches() -> None:
    assert walk(ACCEPT, DROP)[0] is Step.ACCEPT
    assert walk(DROP, ACCEPT)[0] is Step.DROP
    assert walk(Rule(target=Target.REJECT), ACCEPT)[0] is Step.DROP
    assert walk(Rule(target=Target.RETURN), DROP)[0] is None


def test_the_end_of_a_chain_goes_back_behind_the_jump() -> None:
    assert walk(Rule(target=Jump("A")), ACCEPT, A=(Rule(target=Target.SET_MARK),))[0] is Step.ACCEPT


def test_a_verdict_in_a_chain_is_final() -> None:
    assert walk(Rule(target=Jump("A")), ACCEPT, A=(DROP,))[0] is Step.DROP


def test_a_goto_leaves_no_way_back() -> None:
    verdict, _ = walk(Rule(target=Jump("A")), ACCEPT, A=(Rule(target=Goto("B")), DROP), B=(Rule(target=Target.RETURN),))
    assert verdict is Step.ACCEPT


def test_program_is_asked_last() -> None:
    refused = Rule(states=(State.INVALID,), marked=True, program="yes", target=Target.DROP)
    verdict, passenger = walk(
        refused, Rule(program="no", target=Target.DROP), Rule(program="yes", target=Target.ACCEPT)
    )
    assert verdict is Step.ACCEPT
    assert isinstance(passenger.frame, Answers)
    assert passenger.frame.asked == [0, 1]
    assert passenger.last_asked == 1


def test_mark() -> None:
    set_mark, clear_mark = Rule(target=Target.SET_MARK), Rule(target=Target.CLEAR_MARK)
    accept_marked = Rule(marked=True, target=Target.ACCEPT)
    assert walk(set_mark, accept_marked, DROP)[0] is Step.ACCEPT
    assert walk(set_mark, clear_mark, accept_marked, DROP)[0] is Step.DROP


def test_states_are_alternatives() -> None:
    known = Rule(states=(State.RELATED, State.ESTABLISHED), target=Target.ACCEPT)
    verdict, passenger = walk(known, DROP, states=STATE_BITS[State.ESTABLISHED] | STATE_BITS[State.DNAT])
    assert (verdict, passenger.known) == (Step.ACCEPT, True)
    assert walk(known, DROP)[0] is Step.DROP
    assert walk(Rule(states=(State.DNAT,), target=Target.ACCEPT), DROP, states=STATE_BITS[State.DNAT])[0] is Step.ACCEPT


def test_notrack() -> None:
    verdict, passenger = walk(Rule(target=Target.NOTRACK), Rule(states=(State.UNTRACKED,), target=Target.ACCEPT), DROP)
    assert (verdict, passenger.states) == (Step.ACCEPT, UNTRACKED)


def test_what_matched_is_remembered_if_asked_for() -> None:
    [station] = stations({"PYXDP-INPUT": (Rule(program="no", target=Target.DROP), ACCEPT)})
    passenger = Passenger(STATE_BITS[State.NEW], Answers())
    passenger.seen = []
    passenger.walk(station.rules)
    assert passenger.seen == [Rule(target=Jump("PYXDP-INPUT")), ACCEPT]


@pytest.mark.parametrize(
    ("wanted", "interface", "met"),
    [
        ("eth0", "eth0", True),
        ("eth0", "eth01", False),
        ("cali+", "cali7", True),
        ("cali+", "cal", False),
        ("+", "eth0", True),
        ("", "eth0", True),
    ],
)
def test_interface_patterns(wanted: str, interface: str, *, met: bool) -> None:
    assert bool(stations({"PYXDP-INPUT": (Rule(incoming=wanted, target=Target.DROP),)}, interface)) is met


def test_a_local_packet_has_no_way_out() -> None:
    assert not stations({"PYXDP-INPUT": (Rule(outgoing="eth0", target=Target.DROP),)})


def test_the_other_interface_of_a_forwarded_packet_is_no_endpoint_s() -> None:
    rules = (Rule(incoming="eth0", target=Target.RETURN), Rule(outgoing="eth0", target=Target.DROP))
    [station] = stations({"PYXDP-FORWARD": rules}, path=Path.FORWARD)
    assert [rule.rule for rule in station.rules[0].chain] == [rules[0]]


def test_hooks_in_the_order_of_the_kernel() -> None:
    chains = chains_for(0, "eth0", HookSettings())
    programs = {rule.program: 1 for table in chains.values() for rules in table.values() for rule in rules}
    found = ways(chains, "eth0", programs)
    assert {key: [str(station.hook) for station in way] for key, way in found.items()} == {
        (Direction.INGRESS, Path.LOCAL): ["raw PREROUTING", "mangle PREROUTING", "filter INPUT"],
        (Direction.INGRESS, Path.FORWARD): ["raw PREROUTING", "mangle PREROUTING", "filter FORWARD"],
        (Direction.EGRESS, Path.LOCAL): ["raw OUTPUT", "filter OUTPUT", "mangle POSTROUTING"],
        (Direction.EGRESS, Path.FORWARD): ["filter FORWARD", "mangle POSTROUTING"],
    }


def test_only_these_see_the_destination_before_dnat() -> None:
    chains = chains_for(0, "eth0", HookSettings())
    programs = {rule.program: 1 for table in chains.values() for rules in table.values() for rule in rules}
    stations_met = [station for way in ways(chains, "eth0", programs).values() for station in way]
    before = {str(station.hook) for station in stations_met if station.before_dnat}
    assert before == {"raw PREROUTING", "raw OUTPUT", "mangle PREROUTING"}
