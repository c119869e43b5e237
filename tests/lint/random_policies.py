"""Random policy of few values, so that rules cover, cut and contradict each other, and packets at the edges of them."""

from __future__ import annotations

from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING, Any, Final

from pyxdp.model import (
    Action,
    EndpointPort,
    EntityRule,
    FailsafePort,
    FelixConfiguration,
    GlobalNetworkPolicy,
    GlobalNetworkSet,
    HostEndpoint,
    IcmpMatch,
    Metadata,
    PolicyType,
    Profile,
    Resources,
    Rule,
    Tier,
)
from pyxdp.net import Interface, Packet, PortRange, Protocol
from pyxdp.net.prefixes import Prefixes

if TYPE_CHECKING:
    from random import Random

NODE: Final = "node1"
INTERFACES: Final = (Interface("eth0", 1), Interface("eth1", 2))

_TCP, _UDP, _SCTP, _GRE = Protocol(6, "TCP"), Protocol(17, "UDP"), Protocol(132, "SCTP"), Protocol(47)
_ICMP, _ICMPV6 = Protocol(1, "ICMP"), Protocol(58, "ICMPv6")
_NETS: Final = {
    4: ("0.0.0.0/0", "0.0.0.0/1", "10.0.0.0/8", "10.0.0.0/9", "10.128.0.0/9", "10.1.0.0/16", "192.0.2.1/32"),
    6: ("::/0", "2001:db8::/32", "2001:db8::/33", "2001:db8:8000::/33", "2001:db8::1/128"),
}
_ADDRESSES: Final = {
    4: (
        "10.0.0.1",
        "10.1.0.1",
        "10.127.255.255",
        "10.128.0.0",
        "192.0.2.1",
        "192.0.2.2",
        "9.255.255.255",
        "203.0.113.1",
    ),
    6: ("2001:db8::1", "2001:db8::2", "2001:db8:7fff::1", "2001:db8:8000::1", "2001:db9::1", "fe80::1"),
}
_PORTS: Final = (22, 53, 79, 80, 81, 443, 8080, 50000)
_RANGES: Final = tuple(
    PortRange(first, last)
    for first, last in ((80, 80), (443, 443), (22, 22), (53, 80), (80, 443), (1, 65535), (81, 443))
)
_SELECTORS: Final = ("all()", "role == 'a'", "role == 'b'", "role in {'a', 'b'}", "role == 'nobody'", "!has(role)")
_ICMP_MATCHES: Final = (IcmpMatch(), IcmpMatch(8), IcmpMatch(8, 0), IcmpMatch(3), IcmpMatch(135), IcmpMatch(128))


class Dice:
    """Draws resources and packets from a seeded generator."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self._focused = False

    def resources(self) -> Resources:
        """Draw a whole policy; every other one is all of one class, with broad rules, and so deep rather than wide."""
        one = self._random
        self._focused = one.random() < 0.5
        return Resources(
            hostEndpoints=tuple(
                self._endpoint(name, interface) for name, interface in (("h0", "eth0"), ("h1", "eth1"))
            ),
            globalNetworkPolicies=tuple(self._policy(f"p{number}") for number in range(one.randint(2, 5))),
            tiers=(
                Tier(metadata=Metadata(name="early"), order=10, defaultAction=self._end()),
                Tier(metadata=Metadata(name="late"), order=2_000_000, defaultAction=self._end()),
            ),
            globalNetworkSets=(
                GlobalNetworkSet(
                    metadata=Metadata(name="s0", labels={"role": "a"}), nets=Prefixes.of(self._nets(4, 2))
                ),
                GlobalNetworkSet(
                    metadata=Metadata(name="s1", labels={"role": "b"}),
                    nets=Prefixes.of((*self._nets(4), *self._nets(6))),
                ),
            ),
            profiles=(Profile(metadata=Metadata(name="mine"), ingress=self._rules(), egress=self._rules()),),
            felixConfigurations=(
                FelixConfiguration(
                    metadata=Metadata(name="default"),
                    failsafeInboundHostPorts=self._failsafes(),
                    failsafeOutboundHostPorts=self._failsafes(),
                ),
            ),
        )

    def packet(self) -> Packet:
        one = self._random
        family = one.choice((4, 4, 6))
        addresses = [ip_address(text) for text in _ADDRESSES[family]]
        ends = {"source": one.choice(addresses), "destination": one.choice(addresses)}
        kind = one.choice(("tcp", "tcp", "tcp", "udp", "sctp", "icmp", "gre"))
        if kind == "icmp":
            number, types = (1, (8, 0, 3)) if family == 4 else (58, (128, 129, 135, 3))
            return Packet(protocol=number, icmp_type=one.choice(types), icmp_code=one.choice((0, 1)), **ends)
        if kind == "gre":
            return Packet(protocol=47, **ends)
        ports = {"source_port": one.choice(_PORTS), "destination_port": one.choice(_PORTS)}
        return Packet(protocol={"tcp": 6, "udp": 17, "sctp": 132}[kind], **ends, **ports)

    def _endpoint(self, name: str, interface: str) -> HostEndpoint:
        one = self._random
        return HostEndpoint(
            metadata=Metadata(name=name, labels={"role": one.choice("ab")} if one.random() < 0.8 else {}),
            node=NODE,
            interfaceName=interface,
            expectedIPs=tuple(map(ip_address, one.choice(((), ("192.0.2.1",), ("192.0.2.2", "2001:db8::1"))))),
            profiles=one.choice(((), ("mine",), ("projectcalico-default-allow",), ("missing",))),
            ports=(EndpointPort("web", _TCP, 80),),
        )

    def _policy(self, name: str) -> GlobalNetworkPolicy:
        one = self._random
        kind = "forward" if self._focused else one.choice(("untracked", "preDNAT", "normal", "normal", "forward"))
        types = {"untracked": (0, 1, 2), "preDNAT": (0,)}.get(kind, (0, 1, 2))
        directions = ((PolicyType.INGRESS,), (PolicyType.EGRESS,), tuple(PolicyType))[one.choice(types)]
        return GlobalNetworkPolicy(
            metadata=Metadata(name=name),
            tier=one.choice(("default", "default", "early", "late")),
            order=one.choice((1.0, 2.0, None)),
            selector="all()" if self._focused else one.choice(_SELECTORS),
            types=directions,
            ingress=self._rules(),
            egress=() if kind == "preDNAT" else self._rules(),
            doNotTrack=kind == "untracked",
            preDNAT=kind == "preDNAT",
            applyOnForward=kind != "normal",
        )

    def _rules(self) -> tuple[Rule, ...]:
        return tuple(self._rule() for _ in range(self._random.randint(0, 5)))

    def _rule(self) -> Rule:
        one = self._random
        action = one.choice((Action.ALLOW, Action.ALLOW, Action.DENY, Action.DENY, Action.PASS, Action.LOG))
        protocol = one.choice((None, _TCP, _TCP, _TCP, _UDP, _ICMP, _ICMPV6, _GRE, Protocol(6)))
        # No list of prefixes of both sides is of two IP versions.
        family = one.choice((4, 4, 6)) if protocol not in (_ICMP, _ICMPV6) else 4 if protocol is _ICMP else 6
        ported = protocol is not None and protocol.number in (6, 17)
        fields: dict[str, Any] = {}
        if protocol in (_ICMP, _ICMPV6):
            fields = {"icmp": self._maybe(_ICMP_MATCHES, 0.6), "notICMP": self._maybe(_ICMP_MATCHES, 0.3)}
        elif one.random() < 0.1:
            fields = {"notProtocol": one.choice((_TCP, _UDP))}
        return Rule(
            action=action,
            protocol=protocol,
            ipVersion=one.choice((None, None, None, family)),
            source=self._entity(family, ported=ported),
            destination=self._entity(family, ported=ported),
            **fields,
        )

    def _entity(self, family: int, *, ported: bool) -> EntityRule:
        one = self._random
        fields: dict[str, Any] = {}
        if self._focused:
            return EntityRule(ports=(one.choice(_RANGES),)) if ported and one.random() < 0.3 else EntityRule()
        if one.random() < 0.3:
            fields["nets"] = self._nets(family, one.randint(1, 2))
        if one.random() < 0.1:
            fields["notNets"] = self._nets(family)
        if one.random() < 0.2:
            fields["selector"] = one.choice(_SELECTORS)
        if one.random() < 0.1:
            fields["notSelector"] = one.choice(_SELECTORS)
        if ported and one.random() < 0.4:
            fields["ports"] = (one.choice((*_RANGES, *_RANGES, "web")),)
        if ported and one.random() < 0.15:
            fields["notPorts"] = (one.choice((*_RANGES, "web")),)
        return EntityRule(**fields)

    def _nets(self, family: int, count: int = 1) -> Any:
        return tuple(ip_network(text) for text in self._random.sample(_NETS[family], count))

    def _failsafes(self) -> tuple[FailsafePort, ...]:
        one = self._random
        choices = (FailsafePort(_TCP, 22), FailsafePort(_UDP, 53), FailsafePort(_TCP, 80, ip_network("10.0.0.0/8")))
        return tuple(it for it in choices if one.random() < 0.4)

    def _end(self) -> Action:
        return self._random.choice((Action.DENY, Action.PASS))

    def _maybe(self, choices: tuple[IcmpMatch, ...], chance: float) -> IcmpMatch | None:
        return self._random.choice(choices) if self._random.random() < chance else None
