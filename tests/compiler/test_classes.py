"""Equivalence classes and their rows against looking at every value and every rule."""

from __future__ import annotations

from bisect import bisect_right
from ipaddress import ip_address, ip_network
from itertools import pairwise
from typing import TYPE_CHECKING

from hypothesis import given, settings
from hypothesis import strategies as st

from pyxdp.abi import SportClass
from pyxdp.compiler.classes import (
    AddressClasses,
    NumberClasses,
    address_classes,
    address_rows,
    number_rows,
    service_classes,
    sport_classes,
)
from pyxdp.compiler.intervals import Intervals, union
from pyxdp.compiler.matches import AddressCondition
from pyxdp.compiler.service import KEYS, LAST_PORT
from pyxdp.net.prefixes import Prefixes
from pyxdp.resolver import AddressSet

if TYPE_CHECKING:
    from pyxdp.net import Address, Network

FAMILIES = [frozenset({4}), frozenset({6}), frozenset({4, 6}), frozenset()]
BASES = {
    4: (0, 0x0A000000, 0x0A0000FF, 0x0A000100, 0xFFFFFFFF),
    6: (0, 1 << 64, (1 << 64) + 1, 0xFD << 120, (1 << 128) - 1),
}
LENGTHS = {4: (0, 1, 8, 15, 16, 17, 24, 31, 32), 6: (0, 1, 8, 63, 64, 65, 127, 128)}


def prefix(family: int, base: int, length: int) -> Network:
    bits = 32 if family == 4 else 128
    return ip_network((base >> bits - length << bits - length).to_bytes(bits // 8, "big")).supernet(new_prefix=length)


NETWORKS = [prefix(family, base, length) for family in (4, 6) for base in BASES[family] for length in LENGTHS[family]]
SETS = st.lists(st.lists(st.sampled_from(NETWORKS), max_size=4, unique=True), min_size=1, max_size=6).map(
    lambda lists: [AddressSet(f"set{number}", Prefixes.of(networks)) for number, networks in enumerate(lists)]
)


def edges(sets: list[AddressSet]) -> set[Address]:
    """First and last address of every prefix and of both families, and those beside them."""
    found = {ip_address(one) for one in (b"\0" * 4, b"\xff" * 4, b"\0" * 16, b"\xff" * 16)}
    for network in {network for one in sets for network in one.networks}:
        last = int(network[-1])
        for number in (int(network[0]), int(network[0]) - 1, last, last + 1):
            if 0 <= number < 1 << network.max_prefixlen:
                found.add(type(network[0])(number))
    return found


def class_of(classes: AddressClasses, address: Address) -> int:
    pieces = classes.ipv4 if address.version == 4 else classes.ipv6
    return pieces[bisect_right(pieces, (int(address), 1 << 64)) - 1][1]


def holds(one: AddressSet, address: Address) -> bool:
    return any(address in network for network in one.networks)


@given(SETS)
@settings(deadline=None)
def test_class_says_which_sets_hold_an_address(sets: list[AddressSet]) -> None:
    classes = address_classes(sets)
    for address in edges(sets):
        version, members = classes.kinds[class_of(classes, address)]
        assert version == address.version
        assert members == sum(1 << classes.numbers[one.id] for one in sets if holds(one, address))


@given(SETS)
@settings(deadline=None)
def test_classes_are_as_few_as_can_be(sets: list[AddressSet]) -> None:
    classes = address_classes(sets)
    assert len(set(classes.kinds)) == len(classes.kinds)
    for pieces in (classes.ipv4, classes.ipv6):
        starts = [start for start, _ in pieces]
        assert starts[0] == 0
        assert starts == sorted(set(starts))
        assert all(one != following for (_, one), (_, following) in pairwise(pieces))


@given(SETS, st.data())
@settings(deadline=None)
def test_address_rows(sets: list[AddressSet], data: st.DataObject) -> None:
    some = st.lists(st.sampled_from(sets), max_size=2).map(tuple)
    conditions = data.draw(st.lists(st.builds(AddressCondition, st.sampled_from(FAMILIES), some, some), max_size=70))
    classes = address_classes(sets)
    rows = address_rows(classes, conditions)
    assert len(rows) == len(classes.kinds)
    for address in edges(sets):
        satisfied = sum(1 << number for number, one in enumerate(conditions) if satisfies(one, address))
        assert rows[class_of(classes, address)] == satisfied


def satisfies(condition: AddressCondition, address: Address) -> bool:
    return (
        address.version in condition.families
        and all(holds(one, address) for one in condition.sets)
        and not any(holds(one, address) for one in condition.not_sets)
    )


def intervals(last: int) -> st.SearchStrategy[Intervals]:
    number = st.sampled_from((0, 1, 2, 255, 256, last // 2, last - 1, last)) | st.integers(0, last)
    ends = st.tuples(number, number).map(lambda pair: (min(pair), max(pair)))
    return st.lists(ends, max_size=3).map(union)


def number_class(classes: NumberClasses, number: int) -> int:
    return classes.pieces[bisect_right(classes.pieces, (number, 1 << 64)) - 1][1]


def near(sets: list[Intervals], last: int) -> set[int]:
    ends = {end + step for one in sets for interval in one for end in interval for step in (-1, 0, 1)}
    return {number for number in ends | {0, last} if 0 <= number <= last}


def is_in(number: int, one: Intervals) -> bool:
    return any(first <= number <= last for first, last in one)


@given(st.lists(intervals(KEYS - 1), max_size=8))
def test_service_rows(conditions: list[Intervals]) -> None:
    classes = service_classes(conditions)
    rows = number_rows(classes, conditions)
    for key in near(conditions, KEYS - 1):
        assert rows[number_class(classes, key)] == sum(
            1 << number for number, one in enumerate(conditions) if is_in(key, one)
        )


@given(st.lists(st.none() | intervals(LAST_PORT), max_size=8))
def test_source_port_rows(conditions: list[Intervals | None]) -> None:
    """A packet without ports satisfies only what asks for none; a later fragment whatever some port could."""
    classes = sport_classes(conditions)
    rows = number_rows(classes, conditions)
    for port in near([one for one in conditions if one], LAST_PORT):
        number = number_class(classes, port)
        assert number >= SportClass.FIRST
        assert rows[number] == sum(1 << n for n, one in enumerate(conditions) if one is None or is_in(port, one))
    assert rows[SportClass.NONE] == sum(1 << number for number, one in enumerate(conditions) if one is None)
    assert rows[SportClass.UNKNOWN] == (1 << len(conditions)) - 1
