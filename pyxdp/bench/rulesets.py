"""Whole policies, and the packets to measure them by. The same arguments give the same text on any machine."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from ipaddress import IPv4Address, IPv4Network, ip_address
from random import Random
from typing import TYPE_CHECKING, Any, Final

from pyxdp.bench import addresses, documents, profiles
from pyxdp.bench.documents import HOST
from pyxdp.bench.traffic import Flow
from pyxdp.model.metadata import Metadata
from pyxdp.model.sets import GlobalNetworkSet
from pyxdp.net import Packet

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from pyxdp.bench.documents import Rule
    from pyxdp.model import Resources
    from pyxdp.net.prefixes import Prefixes

#: Flows of a measurement with many: more than any cache of a core keeps the tables of.
FLOWS: Final = 1 << 15
#: Prefixes of one network set: as users split their lists, and far below what one file may hold.
SET: Final = 250_000

_TCP: Final = 6
_CLIENTS: Final = ("198.51.100.0/24", "203.0.113.16/28", "10.20.0.0/16", "2001:db8:1::/48")
_REDIS: Final = 6379


@dataclass(frozen=True)
class RuleSet:
    """A policy for the endpoint of :mod:`pyxdp.bench.documents`.

    Attributes:
        name: as a file is called.
        texts: manifests, without the host endpoint and the large sets.
        sets: name, role and prefixes of large network sets.
        packets: by what becomes of them.
        flows: TCP flows to the host; as many as a power of two, or none.
        prefixes: what the flows come from, for who wants to build the same with another tool.
        rules: likewise, where each rule denies a prefix and a port.
    """

    name: str
    texts: tuple[str, ...]
    sets: tuple[tuple[str, str, Prefixes], ...] = ()
    packets: Mapping[str, Packet] = field(default_factory=dict)
    flows: tuple[Flow, ...] = ()
    prefixes: Prefixes | None = None
    rules: tuple[tuple[str, int], ...] = ()

    @cached_property
    def resources(self) -> Resources:
        """The policy as values; the large sets never were text."""
        from pyxdp.manifest.manifest import Collector  # noqa: PLC0415 - only who asks needs a parser

        collector = Collector()
        for number, text in enumerate((documents.endpoint(), *self.texts)):
            collector.add_text(f"{self.name}-{number}.yaml", text)
        read = collector.finish().resources
        large = [
            GlobalNetworkSet(metadata=Metadata(name=name, labels={"role": role}), nets=prefixes)
            for name, role, prefixes in self.sets
        ]
        sets = sorted((*read.globalNetworkSets, *large), key=lambda it: it.metadata.name)
        return replace(read, globalNetworkSets=tuple(sets))

    def write(self, folder: Path, interface: str = documents.INTERFACE) -> None:
        """Write the manifests into a folder, for an interface."""
        folder.mkdir(parents=True, exist_ok=True)
        sets = (documents.network_set(name, role, documents.texts(prefixes)) for name, role, prefixes in self.sets)
        for number, text in enumerate((documents.endpoint(interface), *self.texts, *sets)):
            (folder / f"{self.name}-{number}.yaml").write_text(text, encoding="utf-8")


def ten() -> RuleSet:
    """Return ten rules that use every field: networks on both sides, ports on both, ICMP types, a network set."""
    clients = {"selector": 'role == "clients"'}
    host = [f"{HOST[4]}/32"]
    rules: list[Rule] = [
        {"action": "Deny", "source": {"nets": ["100.64.0.0/10"]}},
        {"action": "Deny", "protocol": "UDP", "destination": {"ports": [19, 1900]}},
        {"action": "Deny", "protocol": "UDP", "source": {"ports": [11211]}},
        {"action": "Deny", "source": {"nets": ["172.16.5.0/24"]}, "destination": {"nets": host}},
        {"action": "Allow", "protocol": "ICMP", "icmp": {"type": 8}, "source": clients},
        _tcp("Allow", {"nets": ["198.51.100.128/25"]}, 9100),
        _tcp("Deny", clients, "1:1023"),
        {"action": "Allow", "protocol": "TCP", "source": clients, "destination": {"nets": host, "ports": [_REDIS]}},
        {"action": "Allow", "protocol": "UDP", "source": clients, "destination": {"ports": ["40000:40100"]}},
        {"action": "Deny", "protocol": "TCP", "destination": {"ports": [_REDIS]}},
    ]
    packets = {
        "denied by rule 1 of 10": packet("100.64.1.1", _REDIS),
        "allowed by rule 8 of 10": packet("198.51.100.7", _REDIS),
        "denied by rule 10 of 10": packet("192.0.2.99", _REDIS),
        "no rule matches": packet("192.0.2.99", 8080),
        "IPv6, no rule matches": packet("2001:db8:1::7", 8080),
    }
    return RuleSet("ten", (_clients(), *documents.policies("ten", rules)), packets=packets)


def wide(count: int, seed: int = 0) -> RuleSet:
    """Return rules with prefixes, ports and negations; packets that the first, middle and last one match, and none."""
    random = Random(f"wide{seed}")  # noqa: S311 - not for secrets
    made: list[Rule] = [_wide_rule(random, number) for number in range(count)]
    packets = {}
    for name, at, third in (("first", 0, 1), ("middle", count // 2, 2), ("last", count - 1, 3)):
        made[at] = _tcp("Deny", {"nets": [f"198.18.{third}.0/24"]}, 443)
        packets[f"denied by the {name} rule"] = packet(f"198.18.{third}.7", 443)
    packets["no rule matches"] = packet("198.18.99.7", 443)
    return RuleSet(f"wide-{count}", documents.policies("wide", made), packets=packets)


def denials(count: int, seed: int = 0) -> RuleSet:
    """Return rules of which each denies a prefix one TCP port; the flows meet random ones of them."""
    random = Random(f"denials{seed}")  # noqa: S311 - not for secrets
    prefixes = addresses.blocklist(count, seed)
    listed = list(zip(documents.texts(prefixes), random.choices(_PORTS, k=count), strict=True))
    random.shuffle(listed)
    made = [_tcp("Deny", {"nets": [net]}, port) for net, port in listed]
    chosen = random.choices(listed, k=min(FLOWS, 1 << (4 * count).bit_length()))
    flows = tuple(Flow(_host_in(random, net), random.randrange(10_000, 1 << 16), port) for net, port in chosen)
    return RuleSet(f"denials-{count}", documents.policies("denials", made), flows=flows, rules=tuple(listed))


def blocklist(count: int, seed: int = 0, shape: str = "blocklist") -> RuleSet:
    """Return a blocklist ahead of a service: the first rule denies ``count`` prefixes, the flows come from them.

    Args:
        count: prefixes.
        seed: the same gives the same prefixes.
        shape: ``blocklist`` or ``country``.
    """
    prefixes = {"blocklist": addresses.blocklist, "country": addresses.country}[shape](count, seed)
    service = [
        {"action": "Deny", "source": {"selector": 'role == "blocked"'}},
        _tcp("Allow", {"selector": 'role == "clients"'}, _REDIS),
        _tcp("Deny", {}, _REDIS),
    ]
    flows = _flows_from(prefixes, seed)
    packets = {
        "denied by the first rule": packet(str(IPv4Address(flows[0].source)), _REDIS),
        "allowed by the second rule": packet("198.51.100.7", _REDIS),
        "no rule matches": packet("198.18.99.7", 8080),
    }
    texts = (_clients(), *documents.policies("service", service, order=10))
    return RuleSet(f"{shape}-{count}", texts, _sets("blocked", prefixes), packets, flows, prefixes)


def large(rules: int, prefixes: int, seed: int = 0) -> RuleSet:
    """Return rules as :func:`wide` has them behind a blocklist as :func:`blocklist` has it, together."""
    behind, list_ = wide(rules, seed), blocklist(prefixes, seed)
    packets = {**list_.packets, **behind.packets}
    return RuleSet(f"large-{rules}-{prefixes}", (*list_.texts, *behind.texts), list_.sets, packets)


def family(name: str, count: int, seed: int = 0) -> RuleSet:
    """Return rules of a family of :data:`pyxdp.bench.profiles.PROFILES`; the flows are such as its rules are about."""
    made = profiles.rules(name, count, seed)
    random = Random(f"flows{seed}")  # noqa: S311 - not for secrets
    flows = tuple(_flow_of(random, random.choice(made)) for _ in range(FLOWS))
    return RuleSet(f"{name}-{count}", documents.policies(name, made), flows=flows)


def node(nodes: int = 1000, seed: int = 0) -> RuleSet:
    """Return what a node of a Kubernetes cluster is protected by: who may reach kubelet, overlay, node ports."""
    machines = [f"10.{64 + (number >> 16)}.{number >> 8 & 255}.{number & 255}" for number in range(nodes)]
    pods = [f"10.{128 + (number >> 8)}.{number & 255}.0/24" for number in range(nodes)]
    lists = {"nodes": machines, "pods": pods, "control-plane": machines[:3]}
    lists["offices"] = list(documents.texts(addresses.country(40, seed)))
    nodes_, control = {"selector": 'role == "nodes"'}, {"selector": 'role == "control-plane"'}
    made: list[Rule] = [
        _tcp("Allow", control, 10250),
        _tcp("Deny", {}, 10250),
        {"action": "Allow", "protocol": "UDP", "source": nodes_, "destination": {"ports": [4789, 8472, 51820]}},
        {"action": "Deny", "protocol": "UDP", "destination": {"ports": [4789, 8472, 51820]}},
        _tcp("Allow", nodes_, 179),
        _tcp("Allow", nodes_, 9100),
        _tcp("Deny", {}, 9100),
        _tcp("Allow", {"selector": 'role == "offices"'}, "30000:32767"),
        {"action": "Allow", "protocol": "TCP", "source": {"selector": 'role in {"nodes", "pods"}'}},
        {"action": "Allow", "protocol": "ICMP", "icmp": {"type": 8}, "source": nodes_},
        {"action": "Deny", "source": {"notSelector": 'role in {"nodes", "pods", "control-plane"}'}},
    ]
    random = Random(f"node{seed}")  # noqa: S311 - not for secrets
    ports = (10250, 179, 9100, 30080, 443)
    known = [*machines, *(pod[:-5] + ".9" for pod in pods)]
    chosen = [(random.choice(known), random.choice(ports)) for _ in range(FLOWS)]
    flows = tuple(Flow(int(IPv4Address(at)), random.randrange(10_000, 1 << 16), port) for at, port in chosen)
    sets = [documents.network_set(role, role, nets) for role, nets in lists.items()]
    return RuleSet(f"node-{nodes}", (*sets, *documents.policies("node", made)), flows=flows)


#: Ports that :func:`denials` names; none is a failsafe port, which would come first.
_PORTS: Final = (23, 25, 80, 110, 143, 443, 445, 587, 993, 1433, 3306, 3389, 5432, 5900, 6379, 8080, 8443, 9200, 11211)


def packet(source: str, port: int) -> Packet:
    """Return a TCP packet to the host."""
    found = ip_address(source)
    return Packet(
        protocol=_TCP,
        source=found,
        destination=ip_address(HOST[found.version]),
        source_port=40000,
        destination_port=port,
    )


def _tcp(action: str, source: Rule, port: int | str) -> dict[str, Any]:
    rule: dict[str, Any] = {"action": action, "protocol": "TCP"}
    return rule | ({"source": dict(source)} if source else {}) | {"destination": {"ports": [port]}}


def _wide_rule(random: Random, number: int) -> dict[str, Any]:
    """Five kinds of rules take turns; none is about 198.18.0.0/15, where the packets come from."""
    net, ports = _net(random, 24), sorted(random.sample(range(1024, 1 << 16), 2))
    kinds: Sequence[dict[str, Any]] = (
        _tcp("Deny", {"nets": [net]}, random.choice(_PORTS)),
        _tcp("Allow", {"nets": [net, _net(random, 28)]}, f"{ports[0]}:{ports[1]}"),
        {"action": "Deny", "protocol": "UDP", "source": {"nets": [net], "ports": [ports[0]]}},
        _tcp("Deny", {"nets": [_net(random, 16)], "notNets": [net]}, 443),
        {
            "action": "Allow",
            "notProtocol": "UDP",
            "source": {"nets": [net]},
            "destination": {"notNets": ["192.0.2.128/25"]},
        },
        {
            "action": "Allow",
            "protocol": "TCP",
            "source": {"nets": [net]},
            "destination": {"notPorts": [ports[0], "1:1023"]},
        },
    )
    return kinds[number % len(kinds)]


def _net(random: Random, length: int) -> str:
    first = random.choice(_FIRST)
    return str(IPv4Network((first << 24 | random.randrange(1 << length - 8) << 32 - length, length)))


_FIRST: Final = [number for number in range(1, 224) if number not in addresses.RESERVED]


def _clients() -> str:
    nets = "".join(f"    - {net}\n" for net in _CLIENTS)
    head = (
        "apiVersion: projectcalico.org/v3\nkind: GlobalNetworkSet\nmetadata: {name: clients, labels: {role: clients}}\n"
    )
    return f"{head}spec:\n  nets:\n{nets}"


def _sets(role: str, prefixes: Prefixes) -> tuple[tuple[str, str, Prefixes], ...]:
    parts = [type(prefixes)(prefixes.ipv4[at : at + SET], prefixes.ipv6) for at in range(0, len(prefixes.ipv4), SET)]
    return tuple((f"{role}-{number}", role, part) for number, part in enumerate(parts))


def _flows_from(prefixes: Prefixes, seed: int) -> tuple[Flow, ...]:
    random = Random(f"flows{seed}")  # noqa: S311 - not for secrets
    return tuple(
        Flow(source, random.randrange(10_000, 1 << 16), _REDIS) for source in addresses.sources(prefixes, FLOWS, seed)
    )


def _host_in(random: Random, net: str) -> int:
    network = IPv4Network(net)
    return int(network.network_address) + random.randrange(network.num_addresses)


def _flow_of(random: Random, rule: Rule) -> Flow:
    """A TCP flow that this rule could be about, but for its destination address, which is always the host's."""
    sides = rule.get("source", {}), rule.get("destination", {})
    source = _host_in(random, sides[0]["nets"][0] if "nets" in sides[0] else _net(random, 24))
    ports = [_port_in(random, side["ports"][0]) if "ports" in side else random.randrange(1, 1 << 16) for side in sides]
    return Flow(source, *ports)


def _port_in(random: Random, ports: str | int) -> int:
    if isinstance(ports, int):
        return ports
    first, last = map(int, ports.split(":"))
    return random.randint(first, last)
