"""Equivalence classes and their rows against looking at every value and every rule."""

from __future__ import annotations

from bisect import bisect_right
from ipaddress import ip_address, ip_network
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from pyxdp.abi import SportClass
from pyxdp.compiler.addresses import AddressClasses, address_classes
from pyxdp.compiler.intervals import Intervals, union
from pyxdp.compiler.matches import AddressCondition
from pyxdp.compiler.numbers import NumberClasses, service_classes, sport_classes
from pyxdp.compiler.rows import Matrix, address_rows, number_rows, sport_rows
from pyxdp.compiler.service import KEYS, LAST_PORT
from pyxdp.compiler.terms import AddressTerms, IntervalTerms
from pyxdp.net.prefixes import Prefixes
from pyxdp.resolver import AddressSet

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyxdp.compiler.lists import Lists
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
    return next(number for start, number in reversed(boundaries(classes)[address.version]) if start <= int(address))


def boundaries(classes: AddressClasses) -> dict[int, list[tuple[int, int]]]:
    """Where each piece of a family begins, and its class."""
    high, low, wide = (column.tolist() for column in classes.ipv6)
    starts = [upper << 64 | lower for upper, lower in zip(high, low, strict=True)]
    narrow = zip(*(column.tolist() for column in classes.ipv4), strict=True)
    return {4: list(narrow), 6: list(zip(starts, wide, strict=True))}


def holds(one: AddressSet, address: Address) -> bool:
    return any(address in network for network in one.networks)


@given(SETS)
@settings(deadline=None)
def test_class_says_which_sets_hold_an_address(sets: list[AddressSet]) -> None:
    classes = address_classes(sets)
    for address in edges(sets):
        number = class_of(classes, address)
        assert classes.family(number) == address.version
        assert classes.members(number) == {one.id for one in sets if holds(one, address)}


@given(SETS)
@settings(deadline=None)
def test_classes_are_as_few_as_can_be(sets: list[AddressSet]) -> None:
    classes = address_classes(sets)
    kinds = {(classes.family(number), classes.members(number)) for number in range(classes.count)}
    assert len(kinds) == classes.count
    for pieces in boundaries(classes).values():
        starts = [start for start, _ in pieces]
        assert starts[0] == 0
        assert starts == sorted(set(starts))
        assert all(one != following for (_, one), (_, following) in pairwise(pieces))


@given(SETS)
@settings(deadline=None)
def test_every_class_comes_behind_its_parent_and_is_in_more_sets(sets: list[AddressSet]) -> None:
    classes = address_classes(sets)
    roots = {0, classes.first_ipv6}
    assert sorted(number for level in classes.levels for number in level.tolist()) == list(range(classes.count))
    assert set(classes.levels[0].tolist()) == roots
    for depth, level in enumerate(classes.levels):
        for number in level.tolist():
            parent = int(classes.parents[number])
            own = [list(classes.sets)[one] for one in classes.own.of(number)]
            assert classes.members(number) == classes.members(parent) | set(own)
            assert (parent < number and parent in classes.levels[depth - 1]) if depth else parent == number
            assert own == sorted(set(own) - classes.members(parent))


@given(SETS, st.data())
@settings(deadline=None)
def test_address_rows(sets: list[AddressSet], data: st.DataObject) -> None:
    some = st.lists(st.sampled_from(sets), max_size=2).map(tuple)
    conditions = data.draw(st.lists(st.builds(AddressCondition, st.sampled_from(FAMILIES), some, some), max_size=70))
    classes = address_classes(sets)
    terms = AddressTerms()
    numbers = np.array([terms.number(one) for one in conditions], np.uint32)
    names = np.full(len(sets) + 1, -1)
    names[[terms.name(one.id) for one in sets]] = range(len(sets))
    matrix, places = address_rows(classes, terms.conditions(numbers, names))
    assert len(places) == classes.count
    for address in edges(sets):
        satisfied = sum(1 << number for number, one in enumerate(conditions) if satisfies(one, address))
        assert bits(matrix, places[class_of(classes, address)]) == satisfied


def bits(matrix: Matrix, row: int) -> int:
    return sum(word << 64 * number for number, word in enumerate(matrix[row].tolist()))


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


def toggles(conditions: Sequence[Intervals | None]) -> Lists:
    """Where each begins and stops to hold."""
    terms = IntervalTerms(None)
    numbers = np.array([terms.number(one) for one in conditions], np.int64)
    return terms.toggles.take(numbers)


def number_class(classes: NumberClasses, number: int) -> int:
    starts, numbers = (column.tolist() for column in classes.pieces)
    return numbers[bisect_right(starts, number) - 1]


def near(sets: list[Intervals], last: int) -> set[int]:
    ends = {end + step for one in sets for interval in one for end in interval for step in (-1, 0, 1)}
    return {number for number in ends | {0, last} if 0 <= number <= last}


def is_in(number: int, one: Intervals) -> bool:
    return any(first <= number <= last for first, last in one)


@given(st.lists(intervals(KEYS - 1), max_size=8), st.data())
@settings(deadline=None)
def test_service_rows(cutting: list[Intervals], data: st.DataObject) -> None:
    """Of a ruleset whose rules have some of the conditions that keys are cut by, in any order."""
    classes = service_classes(toggles(cutting))
    conditions = data.draw(st.lists(st.sampled_from(cutting), max_size=70)) if cutting else []
    rows = number_rows(classes, toggles(conditions))
    assert len(rows) == classes.count
    for key in near(cutting, KEYS - 1):
        satisfied = sum(1 << number for number, one in enumerate(conditions) if is_in(key, one))
        assert bits(rows, number_class(classes, key)) == satisfied


@given(st.lists(intervals(KEYS - 1), max_size=8))
@settings(deadline=None)
def test_keys_are_of_one_class_when_no_condition_tells_them_apart(conditions: list[Intervals]) -> None:
    classes = service_classes(toggles(conditions))
    keys = near(conditions, KEYS - 1)
    different = {tuple(is_in(key, one) for one in conditions) for key in keys}
    assert len({number_class(classes, key) for key in keys}) == len(different) == classes.count
    starts, numbers = (column.tolist() for column in classes.pieces)
    assert starts[0] == 0
    assert starts == sorted(set(starts))
    assert all(one != following for one, following in pairwise(numbers))


@given(st.lists(st.none() | intervals(LAST_PORT), max_size=70))
@settings(deadline=None)
def test_source_port_rows(conditions: list[Intervals | None]) -> None:
    """A packet without ports satisfies only what asks for none; a later fragment whatever some port could."""
    classes = sport_classes(toggles(conditions))
    anything = np.array([number for number, one in enumerate(conditions) if one is None], np.int64)
    rows = sport_rows(classes, toggles(conditions), anything)
    for port in near([one for one in conditions if one], LAST_PORT):
        number = number_class(classes, port)
        assert number >= SportClass.FIRST
        assert bits(rows, number) == sum(1 << n for n, one in enumerate(conditions) if one is None or is_in(port, one))
    assert bits(rows, SportClass.NONE) == sum(1 << number for number, one in enumerate(conditions) if one is None)
    assert bits(rows, SportClass.UNKNOWN) == (1 << len(conditions)) - 1
