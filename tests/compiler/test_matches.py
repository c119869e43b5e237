"""A rule and its conjunctions say the same of every packet."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Final

from hypothesis import given, settings
from hypothesis import strategies as st

from pyxdp.abi import Service
from pyxdp.compiler.matches import AddressCondition, Match, matches_of
from pyxdp.compiler.service import KEYS, fragment_keys, service_keys, space
from tests.compiler.reader import service_key
from tests.compiler.rules import Truth, datagrams, first_fragments, meaning, rules

if TYPE_CHECKING:
    from pyxdp.net import Address, Packet
    from pyxdp.resolver import EffectiveRule

DATAGRAMS: Final = tuple(datagrams())
FEW: Final = settings(deadline=None, max_examples=150)


def holds(match: Match, packet: Packet) -> bool:
    source_port = packet.source_port
    return (
        _address_holds(match.source, packet.source)
        and _address_holds(match.destination, packet.destination)
        and any(first <= service_key(packet) <= last for first, last in match.services)
        and (
            match.source_ports is None
            or packet.later_fragment
            or (source_port is not None and any(first <= source_port <= last for first, last in match.source_ports))
        )
    )


def _address_holds(condition: AddressCondition, address: Address) -> bool:
    inside = [any(address in network for network in one.networks) for one in condition.sets]
    outside = [any(address in network for network in one.networks) for one in condition.not_sets]
    return address.version in condition.families and all(inside) and not any(outside)


@FEW
@given(rules(), st.sampled_from(DATAGRAMS))
def test_whole_packets(rule: EffectiveRule, datagram: Packet) -> None:
    matches = matches_of(rule)
    for packet in first_fragments(datagram):
        wanted = meaning(rule, packet) is Truth.YES
        assert any(holds(match, packet) for match in matches) == wanted, packet


@FEW
@given(rules())
def test_later_fragments(rule: EffectiveRule) -> None:
    """Certain where the rule is certain; never certain where some first fragment would not match."""
    matches = matches_of(rule)
    for later in DATAGRAMS:
        first = next((match for match in matches if holds(match, later)), None)
        found = Truth.NO if first is None else Truth.MAYBE if first.by_ports else Truth.YES
        stated = meaning(rule, later)
        possible = {meaning(rule, packet) for packet in first_fragments(later)} if found is not stated else set()
        assert found is stated or _is_sharper(found, stated, possible), (later, found, stated)


def _is_sharper(found: Truth, stated: Truth, possible: set[Truth]) -> bool:
    """Conditions that together admit every port, or none, decide though each of them alone is open."""
    return stated is Truth.MAYBE and possible == {found}


@FEW
@given(rules())
def test_certain_conjunctions_come_first(rule: EffectiveRule) -> None:
    by_ports = [match.by_ports for match in matches_of(rule)]
    assert by_ports == sorted(by_ports)


def test_every_protocol_has_keys_of_its_own() -> None:
    spaces = sorted(space(protocol) for protocol in range(256))
    assert all(before[1] < after[0] for before, after in pairwise(spaces))
    assert spaces[-1][1] < Service.FRAGMENT << 16


def test_any_protocol_is_every_key_that_a_packet_can_have() -> None:
    keys = service_keys(range(256), None, None, None)
    assert sum(last - first + 1 for first, last in keys) == 250 + 6 * 65536
    assert fragment_keys(range(256)) == ((Service.FRAGMENT << 16, (Service.FRAGMENT << 16) + 255),)
    assert KEYS == (Service.FRAGMENT + 1) << 16
