"""The resolver's result: which rules apply to which interface, in which order, with addresses instead of selectors."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, TypeAlias

from pyxdp.model import Action, Origin
from pyxdp.net import HookSettings

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pyxdp.model import FailsafePort, GlobalNetworkSet, HostEndpoint, IcmpMatch, NetworkSet
    from pyxdp.net import Address, Interface, PortRange, Protocol
    from pyxdp.net.prefixes import Prefixes
    from pyxdp.net.values import Family

    Peer: TypeAlias = HostEndpoint | GlobalNetworkSet | NetworkSet


class PolicyClass(Enum):
    """When a policy is judged (spec section 3.4). Values are those of enum pyxdp_class."""

    UNTRACKED = 0
    PREDNAT = 1
    NORMAL = 2
    FORWARD = 3


class Direction(Enum):
    """Values are those of enum pyxdp_direction."""

    INGRESS = 0
    EGRESS = 1


@dataclass(frozen=True, slots=True)
class AddressSet:
    """A set of addresses that several rules may share.

    Attributes:
        id: the selector's id (``s:...``), or ``nets:`` with the written prefixes; equal ids have equal members.
        networks: its members. Not hashed: there may be very many.
        peers: what the selector selected, whose addresses these are; empty for written prefixes.
    """

    id: str
    networks: Prefixes = field(hash=False)
    peers: tuple[Peer, ...] = field(default=(), compare=False, repr=False)


@dataclass(frozen=True, slots=True, order=True)
class PortMember:
    """A named port of one endpoint address."""

    address: Address
    protocol: int
    port: int


@dataclass(frozen=True, slots=True)
class PortMatch:
    """Matches a port inside one of the ranges, or an (address, protocol, port) among the members of a named port."""

    ranges: tuple[PortRange, ...] = ()
    members: tuple[PortMember, ...] = ()


@dataclass(frozen=True, slots=True)
class Side:
    """One side of a rule, everything resolved.

    Attributes:
        sets: the address must be in every one of them.
        notSets: the address must be in none of them.
        ports: the port must match; ``None`` when the rule does not ask.
        notPorts: the port must not match. Like ``ports`` it needs a packet that has ports: numeric ones come with a
            protocol that has them.
    """

    sets: tuple[AddressSet, ...] = ()
    notSets: tuple[AddressSet, ...] = ()
    ports: PortMatch | None = None
    notPorts: PortMatch | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleId:
    """Which rule this is, for people and for counters.

    Attributes:
        tier: empty for what stands in none.
        kind: ``GlobalNetworkPolicy`` or ``Profile``. For rules that nobody wrote: ``FelixConfiguration`` (failsafe
            ports), ``Tier`` (its default action), ``HostEndpoint`` (behind its profiles, or in the place of forward
            policy), ``Builtin`` (neighbour discovery).
        policy: the resource's name; ``failsafe`` for failsafe ports, ``neighbour-discovery``.
        direction: of the rule list it stands in.
        index: position in that list, from 0.
        content: canonical text of action and match, so that an edited rule is another identity.
        origin: where it was written.
    """

    tier: str
    kind: str
    policy: str
    direction: Direction
    index: int
    content: str
    origin: Origin = field(default=Origin(), compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class EffectiveRule:
    """A rule with resolved peers.

    Attributes:
        id: identity.
        action: Allow, Deny, Log or Pass.
        families: the IP versions in which the rule exists at all (spec section 8.4); may be empty.
    """

    id: RuleId
    action: Action
    families: frozenset[Family] = frozenset({4, 6})
    protocol: Protocol | None = None
    notProtocol: Protocol | None = None
    icmp: IcmpMatch | None = None
    notICMP: IcmpMatch | None = None
    source: Side = Side()
    destination: Side = Side()


@dataclass(frozen=True, slots=True)
class EffectivePolicyRules:
    """One policy's rules for one direction; staged ones are listed and skipped."""

    kind: str
    name: str
    rules: tuple[EffectiveRule, ...]
    staged: bool = False
    origin: Origin = field(default=Origin(), compare=False)


@dataclass(frozen=True, slots=True)
class EffectiveTier:
    """The policies of one tier, class and direction, in order; never empty.

    Attributes:
        defaultAction: at the end of the tier: Deny or Pass. Always Pass in the untracked and pre-DNAT classes, and when
            all policies are staged.
    """

    name: str
    policies: tuple[EffectivePolicyRules, ...]
    defaultAction: Action


@dataclass(frozen=True, slots=True, kw_only=True)
class EffectiveEndpoint:
    """A host endpoint that is active on an interface.

    Attributes:
        name: of the HostEndpoint.
        interface: the interface it governs; a HostEndpoint that governs several is listed once for each.
        wildcard: the HostEndpoint says ``*``.
        workloads: it stands for every workload interface whose name begins with the interface's name (written with the
            ``+`` of iptables, ifindex 0). Only its pre-DNAT and forward policy applies there (spec section 3.10).
        vlans: the interface has VLAN sub-interfaces.
        tiers: for each class and direction with at least one policy.
        profiles: for each direction, in order; a missing profile appears as one that denies all.
    """

    name: str
    interface: Interface
    wildcard: bool = False
    workloads: bool = False
    vlans: bool = False
    tiers: Mapping[tuple[PolicyClass, Direction], tuple[EffectiveTier, ...]] = field(default_factory=dict)
    profiles: Mapping[Direction, tuple[EffectivePolicyRules, ...]] = field(default_factory=dict)
    origin: Origin = field(default=Origin(), compare=False)

    def enforces(self, policy_class: PolicyClass) -> bool:
        """Tell whether it has a policy of this class, of either direction, that is not staged."""
        return any(
            not policy.staged
            for direction in Direction
            for tier in self.tiers.get((policy_class, direction), ())
            for policy in tier.policies
        )


class EndpointState(Enum):
    """What became of a HostEndpoint of this node (spec section 6)."""

    ACTIVE = "active"
    SHADOWED = "shadowed"
    NO_INTERFACE = "no interface"


@dataclass(frozen=True, slots=True)
class EndpointResolution:
    """Why a HostEndpoint of this node is active or not.

    Attributes:
        detail: a sentence for people; empty when active.
    """

    name: str
    state: EndpointState
    interfaces: tuple[str, ...] = ()
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class EffectivePolicy:
    """All that one node has to enforce.

    Attributes:
        node: its name.
        endpoints: sorted by interface name; one for each governed interface.
        failsafe_inbound: in order.
        failsafe_outbound: in order.
        actions: what verdicts become in the filter table.
        resolutions: one for each HostEndpoint of this node, sorted by name.
        notices: one line each: what was written and has no effect here.
    """

    node: str
    endpoints: tuple[EffectiveEndpoint, ...] = ()
    failsafe_inbound: tuple[FailsafePort, ...] = ()
    failsafe_outbound: tuple[FailsafePort, ...] = ()
    actions: HookSettings = field(default=HookSettings())
    log_prefix: str = "calico-packet"
    resolutions: tuple[EndpointResolution, ...] = ()
    notices: tuple[str, ...] = ()
