"""Policies of hundreds and thousands of rules: whole words of rule bits, aggregates, and jumps across them.

Rule n is about a peer of its own, so that a packet can be aimed at any rule; between them stand Log rules that all TCP
meets, and Pass rules that all UDP to port 53 meets.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_network
from typing import TYPE_CHECKING, Final

from pyxdp.evaluator import Context
from pyxdp.model import (
    Action,
    EntityRule,
    FelixConfiguration,
    GlobalNetworkPolicy,
    HostEndpoint,
    Metadata,
    PolicyType,
    Resources,
    Rule,
    Tier,
)
from pyxdp.net import Packet, PortRange, Protocol
from tests.verdicts.boundaries import Question
from tests.verdicts.table import Scenario
from tests.verdicts.vocabulary import HOST, INTERFACES, NODE

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from random import Random

    from pyxdp.net import Address, Network

INTERFACE: Final = "eth0"
TCP: Final = Protocol(6, "TCP")
UDP: Final = Protocol(17, "UDP")
#: As many as a list of a policy may have.
_LIST: Final = 1024
_LOG: Final = Rule(action=Action.LOG, protocol=TCP)
_PASS: Final = Rule(action=Action.PASS, protocol=UDP, destination=EntityRule(ports=(PortRange(53, 53),)))


@dataclass(frozen=True)
class Tiers:
    """Sizes of two tiers, and where the first one has its Log and Pass rules.

    Attributes:
        first: number of rules of the first tier.
        second: number of rules of the second tier.
        logs: positions in the first tier.
        passes: likewise.
    """

    first: int
    second: int
    logs: tuple[int, ...] = ()
    passes: tuple[int, ...] = ()


def peer(number: int) -> Network:
    """The prefix that rule ``number`` is about: of both families, of many lengths, also below 64 bits."""
    kind, place = number % 5, number // 5
    if kind == 0:
        return ip_network((0x0A000000 + place * 4096, 32))
    if kind == 1:
        return ip_network((0x64000000 + place * 512, 23 + place % 9))
    if kind == 2:
        return ip_network((0x20010DB8 << 96 | place << 64, 64))
    if kind == 3:
        return ip_network((0x20010DB9 << 96 | place << 16, 112 + place % 17))
    return ip_network((0x20010DBA << 96 | place << 80, 48 + place % 16))


def wide_scenario(tiers: Tiers) -> Scenario:
    """Make the two tiers on one interface."""
    rules = [
        _LOG if number in tiers.logs else _PASS if number in tiers.passes else _rule(number)
        for number in range(tiers.first + tiers.second)
    ]
    return Scenario(
        "wide",
        Resources(
            hostEndpoints=(HostEndpoint(metadata=Metadata(name="host"), node=NODE, interfaceName=INTERFACE),),
            globalNetworkPolicies=(
                *_policies("alpha", rules[: tiers.first]),
                *_policies("beta", rules[tiers.first :]),
            ),
            tiers=tuple(
                Tier(metadata=Metadata(name=name), order=order) for name, order in (("alpha", 1.0), ("beta", 2.0))
            ),
            felixConfigurations=(
                FelixConfiguration(
                    metadata=Metadata(name="default"), failsafeInboundHostPorts=(), failsafeOutboundHostPorts=()
                ),
            ),
        ),
        NODE,
        INTERFACES,
    )


def _rule(number: int) -> Rule:
    """Every third one asks for a port; Allow and Deny by turns."""
    ports = (PortRange(number % 100 + 1, number % 100 + 60),) if number % 3 == 0 else ()
    return Rule(
        action=Action.DENY if number % 2 else Action.ALLOW,
        protocol=TCP if ports else None,
        source=EntityRule(nets=(peer(number),)),
        destination=EntityRule(ports=ports),
    )


def _policies(tier: str, rules: Sequence[Rule]) -> Iterator[GlobalNetworkPolicy]:
    for number, start in enumerate(range(0, len(rules), _LIST)):
        yield GlobalNetworkPolicy(
            metadata=Metadata(name=f"{tier}-{number}"),
            tier=tier,
            order=float(number),
            selector="all()",
            types=(PolicyType.INGRESS,),
            ingress=tuple(rules[start : start + _LIST]),
            doNotTrack=True,
            applyOnForward=True,
        )


def aimed_at(numbers: Sequence[int], random: Random) -> Iterator[Question]:
    """Aim packets at rules: at what they are about, and beside it."""
    for number in numbers:
        net = peer(number)
        inside = net.network_address + random.randrange(net.num_addresses)
        for packet in _packets(inside, number, random):
            yield Question(INTERFACE, PolicyType.INGRESS, packet, Context())
        beside = net.network_address + net.num_addresses
        yield Question(INTERFACE, PolicyType.INGRESS, _packet(17, beside, 54), Context())


def _packets(source: Address, number: int, random: Random) -> Iterator[Packet]:
    yield _packet(6, source, number % 100 + 30)
    yield _packet(6, source, random.randrange(65536))
    yield _packet(17, source, 53)
    yield _packet(17, source, 54)
    for protocol in (6, 17):
        yield Packet(protocol=protocol, source=source, destination=HOST[source.version], later_fragment=True)


def _packet(protocol: int, source: Address, port: int) -> Packet:
    return Packet(
        protocol=protocol,
        source=source,
        destination=HOST[source.version],
        source_port=1000,
        destination_port=port,
    )
