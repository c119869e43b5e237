"""One class, one direction, one packet (spec sections 3.5 and 3.6)."""

from __future__ import annotations

from ipaddress import IPv6Address
from typing import TYPE_CHECKING, Final

from pyxdp.evaluator.failsafe import match_failsafe
from pyxdp.evaluator.matching import Truth
from pyxdp.evaluator.outcome import ClassResult, Conntrack, PolicyClass, Reason, Verdict
from pyxdp.net.values import ICMPV6

if TYPE_CHECKING:
    from pyxdp.evaluator.walk import Walk

#: Neighbour discovery and multicast listener discovery, without which IPv6 does not work (spec section 3.11).
NEIGHBOUR_DISCOVERY_TYPES: Final = frozenset({130, 131, 132, 133, 135, 136})

#: Classes that match the destination before DNAT (spec section 3.8).
BEFORE_DNAT: Final = frozenset({PolicyClass.UNTRACKED, PolicyClass.PRE_DNAT})


def judge(walk: Walk, state: Conntrack) -> ClassResult:
    """Ask a class about a packet: connection, failsafe ports, tiers, and what is behind them."""
    return (
        _by_connection(walk, state)
        or _by_failsafes(walk)
        or _by_neighbour_discovery(walk)
        or walk.through_tiers()
        or _behind_tiers(walk)
    )


def _by_connection(walk: Walk, state: Conntrack) -> ClassResult | None:
    """Let through what belongs to a connection and drop what is invalid, even to a failsafe port (spec section 3.6)."""
    if walk.course.policy_class is PolicyClass.UNTRACKED or state is Conntrack.NEW:
        return None
    if state is not Conntrack.INVALID:
        return walk.result(Verdict.ALLOW, Reason.ESTABLISHED)
    return walk.result(Verdict.DENY, Reason.INVALID) if walk.course.checks_invalid else None


def _by_failsafes(walk: Walk) -> ClassResult | None:
    """Let a failsafe port through this class; the forward class has none (spec section 5).

    Only in the normal class that is the last word: accepted in the raw table is not accepted in the filter table
    (5.4), and behind pre-DNAT forward policy still applies (5.6).
    """
    matched, rule = match_failsafe(walk.course.failsafes, walk.course.direction, walk.packet)
    if matched is Truth.NO:
        return None
    if matched is Truth.MAYBE:
        return walk.result(Verdict.NO_VERDICT, Reason.FRAGMENT, rule)
    verdict = Verdict.ALLOW if walk.course.policy_class is PolicyClass.NORMAL else Verdict.NO_VERDICT
    return walk.result(verdict, Reason.FAILSAFE, rule)


def _by_neighbour_discovery(walk: Walk) -> ClassResult | None:
    """Keep IPv6 working where a host endpoint denies by default (spec section 11.1)."""
    packet = walk.packet
    if (
        walk.course.policy_class is PolicyClass.NORMAL
        and packet.protocol == ICMPV6
        and packet.icmp_type in NEIGHBOUR_DISCOVERY_TYPES
        and isinstance(packet.source, IPv6Address)
    ):
        return walk.result(Verdict.ALLOW, Reason.NEIGHBOUR_DISCOVERY)
    return None


def _behind_tiers(walk: Walk) -> ClassResult:
    """Decide what no tier decided (spec sections 3.5 and 3.7)."""
    if walk.course.policy_class is PolicyClass.NORMAL:
        return walk.through_profiles()
    if walk.course.policy_class is PolicyClass.FORWARD and not walk.course.has_forward_policy:
        return walk.result(Verdict.ALLOW, Reason.NO_FORWARD_POLICY)
    return walk.result(Verdict.NO_VERDICT, Reason.NO_MATCH)
