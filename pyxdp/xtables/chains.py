"""The rules as data: what hands a packet to which program at which hook, and what becomes of the answer. Pure.

The rules are constant: they depend on which interfaces are governed and on a few settings, never on policy. They are
values, so that what is written to iptables and what a trial run interprets are the same.

A packet meets the tables in the order of :class:`Table`. :data:`JUMPS` says which of our chains it enters from which
built-in chain. ``RETURN``, and the end of a chain, go back to the rule after the last *jump*; a goto leaves no way
back::

    raw     PREROUTING, OUTPUT          untracked policy: leave connection tracking, or drop
    mangle  PREROUTING                  pre-DNAT policy; what it allows carries the mark from here on
            POSTROUTING                 normal egress policy for packets of this host whose destination was rewritten:
                                        only here their interface is final
    filter  INPUT, OUTPUT               normal policy
            FORWARD                     forward policy: ingress of one interface, then egress of the other; what both
                                        allow carries the mark, which accepts it after all other rules

The program ``ungoverned`` stands in front of every verdict of mangle and filter: until the switch that brings an
endpoint into force, and after the one that ends it, its chains change nothing. Where a packet that comes in or goes out
gets there first, ``in_tracked`` or ``out_tracked`` answers the same, and counts what conntrack should not have seen.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Final, TypeAlias

if TYPE_CHECKING:
    from pyxdp.net import HookSettings


class Table(Enum):
    """A table, in the order in which a packet meets them."""

    RAW = "raw"
    MANGLE = "mangle"
    FILTER = "filter"


class State(Enum):
    """What connection tracking says of a packet; values and order are those of iptables."""

    INVALID = "INVALID"
    NEW = "NEW"
    RELATED = "RELATED"
    ESTABLISHED = "ESTABLISHED"
    UNTRACKED = "UNTRACKED"
    DNAT = "DNAT"


class Target(Enum):
    """What a rule does.

    ``NOTRACK``, ``SET_MARK`` and ``CLEAR_MARK`` go on with the next rule. ``ACCEPT``, ``DROP`` and ``REJECT`` end the
    table.
    """

    ACCEPT = "ACCEPT"
    DROP = "DROP"
    REJECT = "REJECT"
    RETURN = "RETURN"
    NOTRACK = "NOTRACK"
    SET_MARK = "SET_MARK"
    CLEAR_MARK = "CLEAR_MARK"


@dataclass(frozen=True, slots=True)
class Jump:
    """Go on in another chain and come back to the next rule."""

    chain: str


@dataclass(frozen=True, slots=True)
class Goto:
    """Go on in another chain, whose end is the end of this one."""

    chain: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """Conditions, all of which must hold, and what is done then.

    Attributes:
        target: what is done.
        incoming: the packet came in by this interface; with a ``+`` at the end by any whose name begins so. Empty: any.
        outgoing: the packet goes out by this interface. Empty: any.
        states: connection tracking says one of these; empty: anything.
        marked: the packet carries the mark.
        program: the endpoint's program of this name answers 1; empty: no program is asked. Asked last.
    """

    target: Target | Jump | Goto
    incoming: str = ""
    outgoing: str = ""
    states: tuple[State, ...] = ()
    marked: bool = False
    program: str = ""


@dataclass(frozen=True, slots=True)
class Entry:
    """The jump from a built-in chain to one of ours.

    Attributes:
        last: it stands behind everybody else's rules, where the others stand in front of them.
    """

    table: Table
    builtin: str
    chain: str
    last: bool = False


Chains: TypeAlias = Mapping[Table, Mapping[str, tuple[Rule, ...]]]

PREROUTING: Final = "PYXDP-PREROUTING"
POSTROUTING: Final = "PYXDP-POSTROUTING"
INPUT: Final = "PYXDP-INPUT"
OUTPUT: Final = "PYXDP-OUTPUT"
FORWARD: Final = "PYXDP-FORWARD"
FORWARD_IN: Final = "PYXDP-FORWARD-IN"
FORWARD_OUT: Final = "PYXDP-FORWARD-OUT"
FORWARDED: Final = "PYXDP-FORWARDED"
NOTRACK: Final = "PYXDP-NOTRACK"
ALLOWED: Final = "PYXDP-ALLOWED"
MARKED: Final = "PYXDP-MARKED"

JUMPS: Final = (
    Entry(Table.RAW, "PREROUTING", PREROUTING),
    Entry(Table.RAW, "OUTPUT", OUTPUT),
    Entry(Table.MANGLE, "PREROUTING", PREROUTING),
    Entry(Table.MANGLE, "POSTROUTING", POSTROUTING),
    Entry(Table.FILTER, "INPUT", INPUT),
    Entry(Table.FILTER, "OUTPUT", OUTPUT),
    Entry(Table.FILTER, "FORWARD", FORWARD),
    Entry(Table.FILTER, "FORWARD", FORWARDED, last=True),
)

_KNOWN: Final = (State.RELATED, State.ESTABLISHED)


def entries_of(interface: str) -> tuple[Entry, ...]:
    """The places where packets of an interface, or of a pattern, meet rules of ours, in the order of the tables."""
    asked = {(Table.MANGLE, PREROUTING), (Table.FILTER, FORWARD)}
    return tuple(it for it in JUMPS if not it.last and (not is_pattern(interface) or (it.table, it.chain) in asked))


def is_pattern(interface: str) -> bool:
    """Whether it stands for all interfaces whose names begin so, and not for one."""
    return interface.endswith("+")


def shared_chains(settings: HookSettings) -> Chains:
    """Return the chains that are the same for every endpoint."""
    allow = _allow(settings)
    return {
        Table.RAW: {NOTRACK: (Rule(target=Target.NOTRACK), Rule(target=Target.ACCEPT))},
        Table.MANGLE: {},
        Table.FILTER: {
            FORWARD: (Rule(target=Jump(FORWARD_IN)), Rule(target=Jump(FORWARD_OUT))),
            FORWARDED: (Rule(marked=True, target=Goto(MARKED)),),
            ALLOWED: (Rule(target=Target.SET_MARK),),
            MARKED: (Rule(target=Target.CLEAR_MARK), Rule(target=allow)),
        },
    }


def endpoint_chains(number: int, interface: str, settings: HookSettings) -> Chains:
    """Return an endpoint's own chains, and its rules in the chains that find the endpoint of a packet.

    Args:
        number: of the endpoint; part of the names of its chains.
        interface: its name. A pattern (``cali+``) stands for workload interfaces, where only pre-DNAT and forward
            policy applies.
        settings: of the node.
    """
    if is_pattern(interface):
        return {
            Table.RAW: {PREROUTING: (), OUTPUT: ()},
            Table.MANGLE: {**_prednat(number, interface, settings), POSTROUTING: ()},
            Table.FILTER: {**_forward(number, interface, settings), INPUT: (), OUTPUT: ()},
        }
    return {
        Table.RAW: _untracked(interface),
        Table.MANGLE: {**_prednat(number, interface, settings), **_postrouting(number, interface)},
        Table.FILTER: {**_local(number, interface, settings), **_forward(number, interface, settings)},
    }


def chains_for(number: int, interface: str, settings: HookSettings) -> Chains:
    """Return everything that packets of a single endpoint meet; see :func:`endpoint_chains`."""
    shared, own = shared_chains(settings), endpoint_chains(number, interface, settings)
    return {table: {**own[table], **shared[table]} for table in Table}


def _untracked(interface: str) -> dict[str, tuple[Rule, ...]]:
    return {
        PREROUTING: (
            Rule(incoming=interface, program="in_allow", target=Goto(NOTRACK)),
            Rule(incoming=interface, program="in_deny", target=Target.DROP),
        ),
        OUTPUT: (
            Rule(outgoing=interface, program="out_allow", target=Goto(NOTRACK)),
            Rule(outgoing=interface, program="out_deny", target=Target.DROP),
        ),
    }


def _prednat(number: int, interface: str, settings: HookSettings) -> dict[str, tuple[Rule, ...]]:
    own = f"PYXDP-PD-{number}"
    return {
        PREROUTING: (Rule(incoming=interface, target=Goto(own)),),
        own: (
            Rule(target=Target.CLEAR_MARK),
            *_untracked_allow(interface, "in_untracked", Target.RETURN),
            Rule(program="ungoverned" if is_pattern(interface) else "in_tracked", target=Target.RETURN),
            Rule(states=_KNOWN, target=Target.RETURN),
            *_invalid(settings, "invalid_in"),
            Rule(program="prednat_deny", target=Target.DROP),
            Rule(program="prednat_allow", target=Target.SET_MARK),
        ),
    }


def _postrouting(number: int, interface: str) -> dict[str, tuple[Rule, ...]]:
    own = f"PYXDP-PO-{number}"
    return {
        POSTROUTING: (Rule(outgoing=interface, states=(State.DNAT,), target=Goto(own)),),
        own: (
            Rule(program="ungoverned", target=Target.RETURN),
            Rule(states=_KNOWN, target=Target.RETURN),
            Rule(program="local_dnat_deny", target=Target.DROP),
        ),
    }


def _local(number: int, interface: str, settings: HookSettings) -> dict[str, tuple[Rule, ...]]:
    into, out = f"PYXDP-IN-{number}", f"PYXDP-OUT-{number}"
    allow, deny = _allow(settings), _deny(settings)
    return {
        INPUT: (Rule(incoming=interface, target=Goto(into)),),
        OUTPUT: (Rule(outgoing=interface, target=Goto(out)),),
        into: (
            *_untracked_allow(interface, "in_untracked", allow),
            Rule(program="ungoverned", target=Target.RETURN),
            Rule(marked=True, target=Goto(MARKED)),
            Rule(states=_KNOWN, target=allow),
            *_invalid(settings, "invalid_in"),
            Rule(program="local_in_deny", target=deny),
            Rule(target=allow),
        ),
        out: (
            *_untracked_allow(interface, "out_untracked", allow),
            Rule(program="out_tracked", target=Target.RETURN),
            Rule(states=_KNOWN, target=allow),
            *_invalid(settings, "invalid_out"),
            Rule(states=(State.DNAT,), target=Target.RETURN),
            Rule(program="local_out_deny", target=deny),
            Rule(target=allow),
        ),
    }


def _forward(number: int, interface: str, settings: HookSettings) -> dict[str, tuple[Rule, ...]]:
    into, out = f"PYXDP-FI-{number}", f"PYXDP-FO-{number}"
    deny = _deny(settings)
    return {
        FORWARD_IN: (Rule(incoming=interface, target=Goto(into)),),
        FORWARD_OUT: (Rule(outgoing=interface, target=Goto(out)),),
        into: (
            *_untracked_allow(interface, "in_untracked", Goto(ALLOWED)),
            Rule(program="ungoverned", target=Target.RETURN),
            Rule(marked=True, target=Target.RETURN),
            Rule(states=_KNOWN, target=Goto(ALLOWED)),
            *_invalid(settings, "invalid_in"),
            Rule(program="forward_in_deny", target=deny),
            Rule(program="forward_in_allow", target=Target.SET_MARK),
        ),
        out: (
            Rule(program="ungoverned", target=Target.RETURN),
            Rule(states=_KNOWN, target=Goto(ALLOWED)),
            *_invalid(settings, "invalid_out"),
            Rule(target=Target.CLEAR_MARK),
            Rule(program="forward_out_deny", target=deny),
            Rule(program="forward_out_allow", target=Target.SET_MARK),
        ),
    }


def _untracked_allow(interface: str, program: str, target: Target | Goto) -> tuple[Rule, ...]:
    """What untracked policy allowed is asked nothing more; workloads have no untracked policy."""
    return () if is_pattern(interface) else (Rule(states=(State.UNTRACKED,), program=program, target=target),)


def _invalid(settings: HookSettings, program: str) -> tuple[Rule, ...]:
    """Never rejected: the answer could end a connection that this packet is no part of."""
    return (Rule(states=(State.INVALID,), program=program, target=Target.DROP),) if settings.check_invalid else ()


def _allow(settings: HookSettings) -> Target:
    return Target.ACCEPT if settings.allow == "Accept" else Target.RETURN


def _deny(settings: HookSettings) -> Target:
    return Target.DROP if settings.deny == "Drop" else Target.REJECT
