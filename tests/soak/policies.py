"""Random policy in files. Verdicts tell which version of each is in force: each denies something of its own.

What every version agrees about stands in a file that never changes: what no policy allows, what every policy allows,
and what is done with members of the set of markers. It comes first, in a tier of its own.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING, Final, TypeAlias

from pyxdp.net import Packet
from tests.lab.packets import TCP, UDP
from tests.veth.host import network_set, open_endpoint

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from random import Random

    from tests.lab.network import Interface

Rules: TypeAlias = "Sequence[Mapping[str, object]]"

#: UDP ports of flows that no policy allows: by a policy of the untracked class, by one of the normal class.
NEVER_UNTRACKED: Final = 7001
NEVER_NORMAL: Final = 7003
#: The same of flows that leave the host, and of those that only come through it.
NEVER_OUT: Final = 7005
NEVER_THROUGH: Final = 7007
#: UDP port of flows that every policy allows.
ALWAYS: Final = 7010
#: Names of interfaces that have an endpoint, and an address that gives one to whoever has it.
NAMES: Final = ("ext1", "ext2")
ADDRESS: Final = "192.0.2.99"

#: Files of policies, with the first of the TCP ports that are their markers.
POLICY_FILES: Final = {"a.yaml": 20000, "b.yaml": 40000}
SETS_FILE: Final = "sets.yaml"
FILES: Final = (*POLICY_FILES, SETS_FILE)

_PORTS: Final = range(5000, 5008)
_SETS: Final = ("red", "green", "blue")
_SOURCES: Final = (
    *("10.77.0.2", "10.77.0.77", "192.0.2.1", "192.0.2.130", "198.51.100.7", "203.0.113.7", "203.0.113.8"),
    *("fd77:0::2", "2001:db8:1::1", "2001:db8:1::ffff", "2001:db8:2::7"),
)
_NETS: Final = (
    ("10.77.0.0/24", "192.0.2.0/24", "192.0.2.128/25", "198.51.100.0/25", "203.0.113.7/32", "203.0.113.8/29"),
    ("fd77::/16", "2001:db8:1::/48", "2001:db8:1::/64", "2001:db8:2::7/128"),
)
_SELECTORS: Final = (*(f"set == '{name}'" for name in _SETS), "has(set)", "set in {'red', 'blue'}")
_CLASSES: Final[tuple[dict[str, bool], ...]] = (
    {"doNotTrack": True, "applyOnForward": True},
    {"doNotTrack": True, "applyOnForward": True},
    {"preDNAT": True, "applyOnForward": True},
    {},
    {"applyOnForward": True},
)


@dataclass(frozen=True)
class Version:
    """A file as it was, is or will be.

    Attributes:
        file: its name.
        number: of the version, from 1; 0: the file is not there.
        text: what is in it.
    """

    file: str
    number: int
    text: str = ""

    def marker(self, end: Interface) -> Packet:
        """What is denied if this version is in force, and allowed in the end if another one is."""
        if self.file == SETS_FILE:
            return packet(_member(self.number), end.ipv4, TCP, ALWAYS)
        return packet("10.77.0.2", end.ipv4, TCP, POLICY_FILES[self.file] + self.number)


def packet(source: str, destination: str, protocol: int, port: int) -> Packet:
    """The first packet of a connection."""
    return Packet(
        protocol=protocol,
        source=ip_address(source),
        source_port=40000,
        destination=ip_address(destination),
        destination_port=port,
    )


def base(main: str) -> str:
    """What never changes: endpoints of an interface and of others that come and go, and the first tier."""
    late = open_endpoint("x", "late").replace('interfaceName: "x"', f'expectedIPs: ["{ADDRESS}"]')
    others = "".join(open_endpoint(name, name) for name in NAMES)
    untracked = [
        _rule("Deny", "UDP", destination={"ports": [NEVER_UNTRACKED]}),
        _rule("Deny", "TCP", source={"selector": "set == 'marker'"}),
        _rule("Allow", "UDP", destination={"ports": [ALWAYS]}),
    ]
    normal = [_rule("Deny", "UDP", destination={"ports": [NEVER_NORMAL]})]
    through = [_rule("Deny", "UDP", destination={"ports": [NEVER_THROUGH]})]
    out = [
        _rule(action, "UDP", destination={"ports": [port]}) for action, port in (("Deny", NEVER_OUT), ("Allow", ALWAYS))
    ]
    return "".join(
        (
            open_endpoint(main, "main"),
            others,
            late,
            _document("Tier", "first", {"order": 1, "defaultAction": "Pass"}),
            _policy("first.untracked", untracked, tier="first", order=1, **_CLASSES[0]),
            _policy("first.normal", normal, out, tier="first", order=1),
            _policy("first.through", through, tier="first", order=2, applyOnForward=True),
        )
    )


def version(chance: Random, file: str, number: int) -> Version:
    """A random version of a file."""
    if file == SETS_FILE:
        sets = "".join(network_set(name, _members(chance)) for name in _SETS)
        return Version(file, number, sets + network_set("marker", [f"{_member(number)}/32"]))
    stem = file.partition(".")[0]
    marker = [_rule("Deny", "TCP", destination={"ports": [POLICY_FILES[file] + number]})]
    text = _policy(f"first.{stem}-marker", marker, tier="first", order=5, **_CLASSES[0])
    for at in range(chance.randrange(4)):
        ingress = [_random_rule(chance, "source") for _ in range(chance.randrange(1, 6))]
        egress = [_random_rule(chance, "destination") for _ in range(chance.randrange(3))]
        spec = chance.choice(_CLASSES)
        text += _policy(f"{stem}-{at}", ingress, [] if "preDNAT" in spec else egress, order=chance.randrange(3), **spec)
    return Version(file, number, text)


def probes(chance: Random, end: Interface, count: int) -> list[Packet]:
    """Packets at which versions differ."""
    found = []
    for _ in range(count):
        source = chance.choice(_SOURCES)
        target = end.ipv6 if ":" in source else end.ipv4
        port = chance.choice((*_PORTS, *_PORTS, NEVER_UNTRACKED, NEVER_NORMAL, ALWAYS))
        found.append(packet(source, target, chance.choice((TCP, UDP)), port))
    return found


def mirrored(probe: Packet) -> Packet:
    """The same out of the host: to the port, at whoever sent it."""
    return packet(str(probe.destination), str(probe.source), probe.protocol, probe.destination_port or 0)


def _member(number: int) -> str:
    return f"198.18.{number >> 8}.{number & 255}"


def _members(chance: Random) -> list[str]:
    """Addresses that probes come from, prefixes around them, and others."""
    nets = [str(ip_network(address)) for address in _SOURCES]
    nets += [net for family in _NETS for net in family]
    nets += [f"100.64.{chance.randrange(256)}.{chance.randrange(256)}/32" for _ in range(8)]
    return sorted(chance.sample(nets, chance.randrange(1, 10)))


def _random_rule(chance: Random, far: str) -> dict[str, object]:
    """Of packets from or to somebody far away.

    Args:
        chance: decides.
        far: ``source`` or ``destination``: the end that is not the host.
    """
    protocol = chance.choice(("TCP", "UDP"))
    ports: list[object] = [chance.choice(_PORTS) for _ in range(chance.randrange(1, 4))]
    if chance.random() < 0.3:
        ports = ["5001:5004"]
    ends: dict[str, dict[str, object]] = {"source": {}, "destination": {}}
    ends["destination"]["ports"] = ports
    nets = chance.choice(_NETS)
    if chance.random() < 0.5:
        ends[far]["selector"] = chance.choice(_SELECTORS)
    elif chance.random() < 0.7:
        ends[far]["nets"] = chance.sample(nets, chance.randrange(1, 3))
    if chance.random() < 0.2:
        ends[far]["notNets"] = [chance.choice(nets)]
    action = chance.choice(("Allow", "Deny", "Deny", "Pass", "Log"))
    return _rule(action, protocol, **ends)


def _rule(action: str, protocol: str, **ends: dict[str, object]) -> dict[str, object]:
    return {"action": action, "protocol": protocol, **ends}


def _policy(name: str, ingress: Rules, egress: Rules = (), **spec: object) -> str:
    types = ["Ingress", "Egress"] if egress else ["Ingress"]
    rules = {"types": types, "ingress": ingress, "egress": egress}
    return _document("GlobalNetworkPolicy", name, {"selector": "all()", **rules, **spec})


def _document(kind: str, name: str, spec: dict[str, object]) -> str:
    """A document in one line: whatever is cut off from its end, it is none any more."""
    document = {"apiVersion": "projectcalico.org/v3", "kind": kind, "metadata": {"name": name}, "spec": spec}
    return f"\n---\n{json.dumps(document)}\n"
