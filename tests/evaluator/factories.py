"""Short ways to make resources and packets for the evaluator's tests."""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING, Any

from pyxdp.evaluator import (
    ClassResult,
    Context,
    Direction,
    Evaluation,
    PolicyClass,
    evaluate,
    evaluate_class,
)
from pyxdp.model import (
    Action,
    EntityRule,
    FailsafePort,
    FelixConfiguration,
    GlobalNetworkPolicy,
    GlobalNetworkSet,
    HostEndpoint,
    Metadata,
    NetworkPolicy,
    Profile,
    Resources,
    Rule,
    StagedGlobalNetworkPolicy,
    Tier,
)
from pyxdp.net import Interface, Packet, PortRange, Protocol
from pyxdp.net.prefixes import Prefixes
from pyxdp.net.values import PROTOCOL_NUMBERS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyxdp.model import Resource

NODE = "node1"
HOST = "192.0.2.1"
OTHER = "198.51.100.7"
IN = Direction.INGRESS
OUT = Direction.EGRESS

ALLOW = Rule(action=Action.ALLOW)
DENY = Rule(action=Action.DENY)
PASS = Rule(action=Action.PASS)
LOG = Rule(action=Action.LOG)

ETH0 = Interface(name="eth0", index=2, addresses=(ip_address(HOST), ip_address("2001:db8::1")))
ETH1 = Interface(name="eth1", index=3, addresses=(ip_address("192.0.2.65"),))
LO = Interface(name="lo", index=1, addresses=(ip_address("127.0.0.1"), ip_address("::1")))
VETH = Interface(name="cali0123", index=4)
INTERFACES = (LO, ETH0, ETH1, VETH)

_FIELDS = {
    HostEndpoint: "hostEndpoints",
    GlobalNetworkPolicy: "globalNetworkPolicies",
    StagedGlobalNetworkPolicy: "stagedGlobalNetworkPolicies",
    NetworkPolicy: "networkPolicies",
    Tier: "tiers",
    GlobalNetworkSet: "globalNetworkSets",
    Profile: "profiles",
    FelixConfiguration: "felixConfigurations",
}


def resources(*items: Resource) -> Resources:
    """Put resources into their tuples."""
    tuples: dict[str, Any] = {}
    for item in sorted(items, key=lambda each: (each.metadata.namespace, each.metadata.name)):
        tuples.setdefault(_FIELDS[type(item)], []).append(item)
    return Resources(**{name: tuple(members) for name, members in tuples.items()})


def named(name: str, **labels: str) -> Metadata:
    return Metadata(name=name, labels=labels)


def host_endpoint(name: str = "host", **fields: Any) -> HostEndpoint:
    """By default: eth0 of node1, with the labels ``hep: host`` and ``on: NODE``."""
    fields.setdefault("node", NODE)
    if "expectedIPs" not in fields:
        fields.setdefault("interfaceName", "eth0")
    return HostEndpoint(metadata=named(name, hep="host", on=fields["node"]), **fields)


def policy(
    name: str, *, ingress: Sequence[Rule] | None = None, egress: Sequence[Rule] | None = None, **fields: Any
) -> GlobalNetworkPolicy:
    """A policy for endpoints with a ``hep`` label, in the directions that are given, even if without rules."""
    given = {Direction.INGRESS: ingress, Direction.EGRESS: egress}
    fields.setdefault("types", tuple(direction for direction, rules in given.items() if rules is not None))
    fields.setdefault("selector", "has(hep)")
    return GlobalNetworkPolicy(metadata=named(name), ingress=tuple(ingress or ()), egress=tuple(egress or ()), **fields)


def untracked(name: str, **fields: Any) -> GlobalNetworkPolicy:
    return policy(name, doNotTrack=True, applyOnForward=True, **fields)


def pre_dnat(name: str, **fields: Any) -> GlobalNetworkPolicy:
    return policy(name, preDNAT=True, applyOnForward=True, **fields)


def forward(name: str, **fields: Any) -> GlobalNetworkPolicy:
    return policy(name, applyOnForward=True, **fields)


def profile(name: str, *, ingress: Sequence[Rule] = (), egress: Sequence[Rule] = (), **labels: str) -> Profile:
    return Profile(metadata=named(name), ingress=tuple(ingress), egress=tuple(egress), labelsToApply=labels)


def tier(name: str, *, order: float | None = 1e6, action: Action = Action.DENY) -> Tier:
    return Tier(metadata=named(name), order=order, defaultAction=action)


def network_set(name: str, *nets: str, **labels: str) -> GlobalNetworkSet:
    return GlobalNetworkSet(metadata=named(name, **labels), nets=Prefixes.of(ip_network(net) for net in nets))


def failsafes(inbound: Sequence[str] = (), outbound: Sequence[str] = (), *, of: str = "default") -> FelixConfiguration:
    """Failsafe ports written ``tcp:22``, without prefixes."""

    def ports(texts: Sequence[str]) -> tuple[FailsafePort, ...]:
        pairs = [text.split(":") for text in texts]
        return tuple(FailsafePort(protocol(name.upper()), int(port)) for name, port in pairs)

    return FelixConfiguration(
        metadata=named(of), failsafeInboundHostPorts=ports(inbound), failsafeOutboundHostPorts=ports(outbound)
    )


def protocol(written: str | int) -> Protocol:
    return Protocol(written) if isinstance(written, int) else Protocol(PROTOCOL_NUMBERS[written], written)


def nets(*texts: str) -> Any:
    return tuple(ip_network(text) for text in texts)


def ports(*written: int | str) -> tuple[PortRange | str, ...]:
    """Numbers, ``"first:last"``, or names."""
    return tuple(_port(each) for each in written)


def _port(written: int | str) -> PortRange | str:
    if isinstance(written, int):
        return PortRange(written, written)
    first, colon, last = written.partition(":")
    return PortRange(int(first), int(last)) if colon else written


def to_port(*written: int | str, action: Action = Action.ALLOW, name: str = "TCP") -> Rule:
    """A rule for a destination port."""
    return Rule(action=action, protocol=protocol(name), destination=EntityRule(ports=ports(*written)))


def packet(
    to: int = 50000,
    *,
    of: int = 40000,
    name: str | int = "TCP",
    src: str = OTHER,
    dst: str = HOST,
    **fields: Any,
) -> Packet:
    """A packet to port ``to`` from port ``of``; without ports for the other protocols."""
    number = protocol(name).number
    if number in (6, 17, 132, 136) and not fields.get("later_fragment"):
        fields = {"source_port": of, "destination_port": to, **fields}
    return Packet(protocol=number, source=ip_address(src), destination=ip_address(dst), **fields)


def outgoing(to: int = 50000, **fields: Any) -> Packet:
    """The same in the other direction."""
    return packet(to, **{"src": HOST, "dst": OTHER, **fields})


@dataclass(frozen=True)
class Host:
    """A host with resources, to be asked about packets.

    Attributes:
        resources: all of them.
        node: its name.
        interface: which interface the packets use.
        interfaces: all of them.
    """

    resources: Resources
    node: str = NODE
    interface: str = "eth0"
    interfaces: tuple[Interface, ...] = field(default=INTERFACES)

    def judge(self, direction: Direction, packet: Packet, **context: Any) -> Evaluation:
        """Ask all classes."""
        return evaluate(
            self.resources,
            node=self.node,
            interfaces=self.interfaces,
            interface=self.interface,
            direction=direction,
            packet=packet,
            context=Context(**context),
        )

    def judge_class(
        self, policy_class: PolicyClass, direction: Direction, packet: Packet, **context: Any
    ) -> ClassResult:
        """Ask one class."""
        return evaluate_class(
            self.resources,
            node=self.node,
            interfaces=self.interfaces,
            interface=self.interface,
            direction=direction,
            packet=packet,
            policy_class=policy_class,
            context=Context(**context),
        )


def host(*items: Resource, interface: str = "eth0") -> Host:
    """A host with the endpoint ``host`` on eth0, unless another host endpoint of the node is among the resources."""
    if not any(isinstance(item, HostEndpoint) and item.node == NODE for item in items):
        items = (host_endpoint(), *items)
    return Host(resources(*items), interface=interface)


def policy_of(result: Evaluation) -> str:
    """The policy or profile of the deciding rule; empty when no rule decided."""
    return result.rule.policy if result.rule else ""
