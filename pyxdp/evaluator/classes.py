"""One class, one direction, one packet (spec sections 3.5 and 3.6)."""

from __future__ import annotations

from ipaddress import IPv6Address
from typing import TYPE_CHECKING, Final

from pyxdp.evaluator.endpoint import endpoint_labels, governing_endpoint
from pyxdp.evaluator.failsafe import match_failsafe
from pyxdp.evaluator.matching import Truth
from pyxdp.evaluator.outcome import ClassResult, Conntrack, Context, Direction, PolicyClass, Reason, Verdict
from pyxdp.evaluator.tiers import has_forward_policy
from pyxdp.evaluator.walk import Walk
from pyxdp.net.values import ICMPV6

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pyxdp.model import Resources
    from pyxdp.net import Interface, Packet

#: Neighbour discovery and multicast listener discovery, without which IPv6 does not work (spec section 3.11).
NEIGHBOUR_DISCOVERY_TYPES: Final = frozenset({130, 131, 132, 133, 135, 136})

#: Classes that match the destination before DNAT (spec section 3.8).
BEFORE_DNAT: Final = frozenset({PolicyClass.UNTRACKED, PolicyClass.PRE_DNAT})


def evaluate_class(  # noqa: PLR0913 - a question of eight independent parts
    resources: Resources,
    *,
    node: str,
    interfaces: Iterable[Interface],
    interface: str,
    direction: Direction,
    packet: Packet,
    policy_class: PolicyClass,
    context: Context | None = None,
) -> ClassResult:
    """Ask one policy class about one packet.

    In the untracked class a later fragment is judged by what is certain without ports and ICMP type. The first rule
    that might match decides: a Deny that does match denies, an Allow allows (and takes nothing out of tracking), and
    everything that hangs on ports gives no verdict, because the first fragment decides. A Log rule that only might
    match logs nothing. A failsafe port that might match gives no verdict either.

    Args:
        resources: all resources.
        node: the host.
        interfaces: every interface of the host.
        interface: the one that the packet enters or leaves through.
        direction: ingress or egress.
        packet: the packet; its destination is the one after DNAT.
        policy_class: which class to ask.
        context: what is known beyond the packet; by default a new connection of a local process.

    Raises:
        UnknownInterfaceError: ``interface`` is not among ``interfaces``.
        UnsupportedPolicyError: a policy that applies matches Kubernetes services.
        ValueError: a later fragment in a tracked class; those see whole datagrams only.
    """
    context = context or Context()
    tracked = policy_class is not PolicyClass.UNTRACKED
    if tracked and packet.later_fragment:
        message = "tracked classes see reassembled datagrams, never a later fragment"
        raise ValueError(message)
    governance = governing_endpoint(resources, node=node, interfaces=interfaces, interface=interface)
    if governance is None or policy_class not in governance.classes:
        return ClassResult(policy_class=policy_class, verdict=Verdict.NO_VERDICT, reason=Reason.NOT_GOVERNED)
    walk = Walk(
        resources=resources,
        policy_class=policy_class,
        direction=direction,
        packet=context.before_dnat(packet) if policy_class in BEFORE_DNAT else packet,
        labels=endpoint_labels(resources, governance.endpoint),
    )
    return (
        _by_connection(walk, context.conntrack)
        or _by_failsafes(walk, node)
        or _by_neighbour_discovery(walk)
        or walk.through_tiers()
        or _behind_tiers(walk, governance.endpoint.profiles)
    )


def _by_connection(walk: Walk, state: Conntrack) -> ClassResult | None:
    """Let through what belongs to a connection and drop what is invalid, even to a failsafe port (spec section 3.6)."""
    if walk.policy_class is PolicyClass.UNTRACKED or state is Conntrack.NEW:
        return None
    if state is Conntrack.INVALID:
        return walk.result(Verdict.DENY, Reason.INVALID)
    return walk.result(Verdict.ALLOW, Reason.ESTABLISHED)


def _by_failsafes(walk: Walk, node: str) -> ClassResult | None:
    """Let a failsafe port through this class; never in the forward class (spec section 5).

    Only in the normal class that is the last word: accepted in the raw table is not accepted in the filter table
    (5.4), and behind pre-DNAT forward policy still applies (5.6).
    """
    if walk.policy_class is PolicyClass.FORWARD:
        return None
    matched, rule = match_failsafe(
        walk.resources,
        node=node,
        direction=walk.direction,
        packet=walk.packet,
        mirrored=walk.policy_class is PolicyClass.UNTRACKED,
    )
    if matched is Truth.NO:
        return None
    if matched is Truth.MAYBE:
        return walk.result(Verdict.NO_VERDICT, Reason.FRAGMENT, rule)
    verdict = Verdict.ALLOW if walk.policy_class is PolicyClass.NORMAL else Verdict.NO_VERDICT
    return walk.result(verdict, Reason.FAILSAFE, rule)


def _by_neighbour_discovery(walk: Walk) -> ClassResult | None:
    """Keep IPv6 working where a host endpoint denies by default (spec section 11.1)."""
    packet = walk.packet
    if (
        walk.policy_class is PolicyClass.NORMAL
        and isinstance(packet.source, IPv6Address)
        and packet.protocol == ICMPV6
        and packet.icmp_type in NEIGHBOUR_DISCOVERY_TYPES
    ):
        return walk.result(Verdict.ALLOW, Reason.NEIGHBOUR_DISCOVERY)
    return None


def _behind_tiers(walk: Walk, profiles: Sequence[str]) -> ClassResult:
    """Decide what no tier decided (spec sections 3.5 and 3.7)."""
    if walk.policy_class is PolicyClass.NORMAL:
        return walk.through_profiles(profiles)
    if walk.policy_class is PolicyClass.FORWARD and not has_forward_policy(walk.resources, walk.labels):
        return walk.result(Verdict.ALLOW, Reason.NO_FORWARD_POLICY)
    return walk.result(Verdict.NO_VERDICT, Reason.NO_MATCH)
