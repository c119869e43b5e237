"""Packets at the edges of what a policy says: its prefixes' first and last addresses, its ports, and one beside."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pyxdp.evaluator import Conntrack, Context, Path
from pyxdp.model import Action, EntityRule, IcmpMatch, PolicyType, Resources, Rule
from pyxdp.net import Address, Network, Packet, PortRange, address_family
from pyxdp.net.values import ICMP, ICMPV6, PORT_PROTOCOLS
from tests.verdicts import vocabulary
from tests.verdicts.dice import once_in

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from random import Random

    from pyxdp.model import GlobalNetworkPolicy, Profile

#: Values of IPv6's next header that stand for an extension header, or for nothing at all (59).
EXTENSION_HEADERS: Final = frozenset({0, 43, 44, 51, 59, 60, 135, 139, 140})
_ANYTHING: Final = Rule(action=Action.ALLOW)
_PORTS: Final = range(65536)
_BYTE: Final = range(256)
_STATES: Final = (*(Conntrack.NEW,) * 20, Conntrack.ESTABLISHED, Conntrack.RELATED, Conntrack.INVALID)
_PATHS: Final = (Path.LOCAL, Path.LOCAL, Path.FORWARD)


@dataclass(frozen=True, slots=True)
class Question:
    """A packet and all that policy needs to know of it."""

    interface: str
    direction: PolicyType
    packet: Packet
    context: Context

    @property
    def rewritten(self) -> bool:
        """Whether there was DNAT."""
        return (self.context.original_destination, self.context.original_destination_port) != (None, None)


@dataclass(frozen=True, slots=True)
class _Aim:
    """What a packet may be made of to meet a rule in one IP version. Values may repeat, to be drawn more often."""

    protocols: list[int]
    sources: list[Address]
    destinations: list[Address]
    source_ports: list[int]
    destination_ports: list[int]
    icmp: list[tuple[int, int]]


class Questions:
    """Packets aimed at the rules of a scenario, and some at nothing.

    They leave out what does not exist: IPv6 packets whose "protocol" is an extension header; a packet that connection
    tracking finds invalid, or a fragment, after DNAT.

    Args:
        resources: what the packets are about.
    """

    def __init__(self, resources: Resources) -> None:
        self._rules = {
            (direction, path): [*_rules(resources, direction, path), _ANYTHING]
            for direction in PolicyType
            for path in Path
        }
        self._world = _World.of(resources)
        self._aims: dict[tuple[int, int], _Aim] = {}

    def throw(self, random: Random, interface: str, direction: PolicyType) -> Question:
        """Make a packet and its circumstances."""
        path = random.choice(_PATHS)
        rules = self._rules[direction, path]
        packet = self._packet(random, random.choice(rules))
        if path is Path.LOCAL and once_in(random, 20):
            fragment = Packet(
                protocol=packet.protocol, source=packet.source, destination=packet.destination, later_fragment=True
            )
            return Question(interface, direction, fragment, Context())
        state = random.choice(_STATES)
        original = None
        if state is not Conntrack.INVALID and once_in(random, 4):
            original = self._packet(random, random.choice(rules), packet.family)
        return Question(interface, direction, packet, _context(path, state, packet, original))

    def _packet(self, random: Random, rule: Rule, family: int = 0) -> Packet:
        aim = self._aim(rule, family or random.choice(_families(rule)))
        protocol = random.choice(aim.protocols)
        source, destination = random.choice(aim.sources), random.choice(aim.destinations)
        if protocol in PORT_PROTOCOLS:
            return Packet(
                protocol=protocol,
                source=source,
                destination=destination,
                source_port=random.choice(aim.source_ports),
                destination_port=random.choice(aim.destination_ports),
            )
        if protocol in (ICMP, ICMPV6):
            kind, code = random.choice(aim.icmp)
            return Packet(protocol=protocol, source=source, destination=destination, icmp_type=kind, icmp_code=code)
        return Packet(protocol=protocol, source=source, destination=destination)

    def _aim(self, rule: Rule, family: int) -> _Aim:
        key = id(rule), family
        if key not in self._aims:
            self._aims[key] = _Aim(
                _protocols(rule, family),
                self._world.addresses(rule.source, family),
                self._world.addresses(rule.destination, family),
                self._world.ports(rule.source),
                self._world.ports(rule.destination),
                _icmp_fields(rule),
            )
        return self._aims[key]


@dataclass(frozen=True, slots=True)
class _World:
    """What is not in the rules themselves: addresses of endpoints and sets, and everybody's ports."""

    members: tuple[Address, ...]
    numbers: tuple[PortRange, ...]

    @classmethod
    def of(cls, resources: Resources) -> _World:
        failsafes = [
            entry
            for config in resources.felixConfigurations
            for entry in (*(config.failsafeInboundHostPorts or ()), *(config.failsafeOutboundHostPorts or ()))
        ]
        nets = [net for each in resources.globalNetworkSets for net in each.nets]
        nets += [net for each in resources.networkSets for net in each.nets]
        return cls(
            (
                *vocabulary.HOST.values(),
                *(address for endpoint in resources.hostEndpoints for address in endpoint.expectedIPs),
                *_edges(nets),
                *_edges(entry.net for entry in failsafes if entry.net is not None),
            ),
            (
                *(PortRange(port.port, port.port) for endpoint in resources.hostEndpoints for port in endpoint.ports),
                *(PortRange(entry.port, entry.port) for entry in failsafes),
                PortRange(22, 22),
                PortRange(53, 53),
            ),
        )

    def addresses(self, entity: EntityRule, family: int) -> list[Address]:
        own = [*_edges(entity.nets), *_edges(entity.notNets)]
        members = () if own else self.members
        known = (*own, vocabulary.HOST[family], *members)
        return [address for address in known if address_family(address) == family]

    def ports(self, entity: EntityRule) -> list[int]:
        ranges = [port for port in (*entity.ports, *entity.notPorts) if isinstance(port, PortRange)]
        if len(ranges) < len(entity.ports) + len(entity.notPorts) or not ranges:
            ranges += self.numbers
        edges = [edge for each in ranges for edge in (each.first, each.last, each.first - 1, each.last + 1, each.first)]
        return [port for port in (*edges, 0, 40000, 65535) if port in _PORTS]


def _context(path: Path, state: Conntrack, packet: Packet, original: Packet | None) -> Context:
    """``original``: a packet whose destination is the one before DNAT."""
    if original is None:
        return Context(path=path, conntrack=state)
    return Context(
        path=path,
        conntrack=state,
        original_destination=original.destination,
        original_destination_port=original.destination_port if packet.protocol in PORT_PROTOCOLS else None,
    )


def _rules(resources: Resources, direction: PolicyType, path: Path) -> Iterator[Rule]:
    """Rules that a packet may meet this way; the untracked class is there for every packet that comes in."""
    forwarded = path is Path.FORWARD
    owners: list[GlobalNetworkPolicy | Profile] = [
        policy for policy in resources.globalNetworkPolicies if policy.applyOnForward or not forwarded
    ]
    for owner in owners if forwarded else (*owners, *resources.profiles):
        yield from owner.ingress if direction is PolicyType.INGRESS else owner.egress


def _families(rule: Rule) -> list[int]:
    """The IP versions that the rule is for; both when it does not say."""
    if rule.ipVersion is not None:
        return [rule.ipVersion]
    nets = (*rule.source.nets, *rule.source.notNets, *rule.destination.nets, *rule.destination.notNets)
    return sorted({address_family(net) for net in nets} or {4, 6})


def _protocols(rule: Rule, family: int) -> list[int]:
    """The rule's protocol more often than all others."""
    given = [protocol.number for protocol in (rule.protocol, rule.notProtocol) if protocol]
    own = [rule.protocol.number] * 20 if rule.protocol else []
    own_icmp = ICMPV6 if family == 6 else ICMP
    others = [6, 17, 132, 136, 47, own_icmp, own_icmp, ICMP, ICMPV6, *(number ^ 1 for number in given)]
    unwanted = EXTENSION_HEADERS if family == 6 else frozenset[int]()
    return [number for number in (*own, *given, *others) if number not in unwanted]


def _edges(nets: Iterable[Network]) -> Iterator[Address]:
    """First and last address of each prefix, and their neighbours outside, where there are any."""
    for net in nets:
        first, last = net.network_address, net.broadcast_address
        yield from (first, last, first, last)
        if int(first):
            yield first - 1
        if int(last) != int(net.netmask) | int(net.hostmask):
            yield last + 1


def _icmp_fields(rule: Rule) -> list[tuple[int, int]]:
    fields = [(8, 0), (128, 0), (135, 0), (255, 255)]
    for match in (rule.icmp, rule.notICMP):
        fields += _near(match or IcmpMatch())
    return [(kind, code) for kind, code in fields if kind in _BYTE and code in _BYTE]


def _near(match: IcmpMatch) -> list[tuple[int, int]]:
    kind, code = match.type or 0, match.code or 0
    return [(kind, code), (kind, code), (kind - 1, code), (kind + 1, code), (kind, code - 1), (kind, code + 1)]
