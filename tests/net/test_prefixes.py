"""Sets of prefixes behave as sets of networks do, and stay quick when they are large."""

from __future__ import annotations

import copy
import pickle
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyxdp.net.prefixes import NO_PREFIXES, Prefixes
from pyxdp.net.wide import NO_WIDE, Wide

if TYPE_CHECKING:
    from pyxdp.net import Address, Network

ALL_ONES = (1 << 64) - 1


def _masked(number: int, length: int, bits: int) -> int:
    return number >> (bits - length) << (bits - length)


# Few distinct bits, so that prefixes meet, nest and repeat; the edges of 64 bits are among them.
NUMBERS6 = st.builds(
    lambda high, low: high << 64 | low,
    st.sampled_from([0, 1, 1 << 63, ALL_ONES, 0x20010DB8 << 32]),
    st.sampled_from([0, 1, 1 << 63, ALL_ONES]),
)
NUMBERS4 = st.sampled_from([0, 1, 255, 10 << 24, (10 << 24) + 128, (1 << 31) - 1, 1 << 31, (1 << 32) - 1])
NETWORKS4 = st.builds(
    lambda number, length: IPv4Network((_masked(number, length, 32), length)), NUMBERS4, st.integers(0, 32)
)
NETWORKS6 = st.builds(
    lambda number, length: IPv6Network((_masked(number, length, 128), length)),
    NUMBERS6,
    st.sampled_from([0, 1, 32, 63, 64, 65, 127, 128]),
)
NETWORKS: st.SearchStrategy[list[Network]] = st.lists(st.one_of(NETWORKS4, NETWORKS6), max_size=25)
ADDRESSES: st.SearchStrategy[Address] = st.one_of(NUMBERS4.map(IPv4Address), NUMBERS6.map(IPv6Address))


def model(networks: list[Network]) -> list[Network]:
    return sorted(set(networks), key=lambda one: (one.version, int(one.network_address), one.prefixlen))


@given(NETWORKS)
def test_it_is_the_sorted_set(networks: list[Network]) -> None:
    prefixes = Prefixes.of(networks)
    assert list(prefixes) == model(networks)
    assert len(prefixes) == len(model(networks))
    assert prefixes[:] == model(networks)
    assert [prefixes[number] for number in range(-len(prefixes), len(prefixes))] == model(networks) * 2
    with pytest.raises(IndexError):
        prefixes[len(prefixes)]


@given(NETWORKS)
def test_arrays_are_as_documented(networks: list[Network]) -> None:
    prefixes = Prefixes.of(networks)
    wanted = model(networks)
    narrow = [int(one.network_address) << 8 | one.prefixlen for one in wanted if one.version == 4]
    wide = [one for one in wanted if one.version == 6]
    assert prefixes.ipv4.tolist() == narrow
    assert prefixes.ipv6.high.tolist() == [int(one.network_address) >> 64 for one in wide]
    assert prefixes.ipv6.low.tolist() == [int(one.network_address) & ALL_ONES for one in wide]
    assert prefixes.ipv6.length.tolist() == [one.prefixlen for one in wide]
    dtypes = [prefixes.ipv4.dtype, prefixes.ipv6.high.dtype, prefixes.ipv6.low.dtype, prefixes.ipv6.length.dtype]
    assert dtypes == [np.uint64, np.uint64, np.uint64, np.uint8]


@given(NETWORKS, st.randoms(use_true_random=False))
def test_arrays_in_any_order_are_sorted(networks: list[Network], random: object) -> None:
    narrow = [int(one.network_address) << 8 | one.prefixlen for one in networks if one.version == 4]
    wide = [(int(one.network_address), one.prefixlen) for one in networks if one.version == 6]
    assert Prefixes.of_arrays(np.array(narrow, np.uint64), Wide.of(wide)) == Prefixes.of(networks)


@given(st.lists(NETWORKS, max_size=4))
def test_a_union_is_what_any_part_has(parts: list[list[Network]]) -> None:
    assert list(Prefixes.union([Prefixes.of(part) for part in parts])) == model([one for part in parts for one in part])


@given(NETWORKS, NETWORKS)
def test_with_and_without(networks: list[Network], others: list[Network]) -> None:
    prefixes = Prefixes.of(networks)
    more, less = prefixes.with_(others), prefixes.without(others)
    assert list(more) == model(networks + others)
    assert list(less) == model(list(set(networks) - set(others)))
    assert (more is prefixes) == set(others).issubset(networks)
    assert (less is prefixes) == set(others).isdisjoint(networks)
    assert list(prefixes) == model(networks)


@given(NETWORKS, ADDRESSES)
def test_contains_an_address(networks: list[Network], address: Address) -> None:
    assert Prefixes.of(networks).contains(address) == any(address in one for one in networks)


@given(NETWORKS, st.one_of(NETWORKS4, NETWORKS6))
def test_a_prefix_itself_is_in_it_or_not(networks: list[Network], network: Network) -> None:
    assert (network in Prefixes.of(networks)) == (network in networks)


@given(NETWORKS, NETWORKS)
def test_equality_and_hash_are_by_value(networks: list[Network], others: list[Network]) -> None:
    one, other = Prefixes.of(networks), Prefixes.of(others)
    assert (one == other) == (set(networks) == set(others))
    twin = Prefixes.of(reversed(networks))
    assert (one, hash(one)) == (twin, hash(twin))


def test_nothing_else_is_equal_to_it_or_in_it() -> None:
    assert NO_PREFIXES != ()
    assert Prefixes.of([ip_network("10.0.0.0/8")]) != (ip_network("10.0.0.0/8"),)
    assert "10.0.0.0/8" not in Prefixes.of([ip_network("10.0.0.0/8")])


def test_no_array_can_be_changed() -> None:
    prefixes = Prefixes.of([ip_network("10.0.0.0/8"), ip_network("2001:db8::/32")])
    for array in (prefixes.ipv4, *prefixes.ipv6):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0


@given(NETWORKS)
def test_copies_are_the_same_value(networks: list[Network]) -> None:
    prefixes = Prefixes.of(networks)
    assert copy.copy(prefixes) is prefixes
    assert copy.deepcopy([prefixes])[0] is prefixes
    restored = pickle.loads(pickle.dumps(prefixes))  # noqa: S301 - its own
    assert restored == prefixes
    assert not any(array.flags.writeable for array in (restored.ipv4, *restored.ipv6))


def test_nothing_is_made_anew_without_need() -> None:
    prefixes = Prefixes.of([ip_network("10.0.0.0/8")])
    assert Prefixes.of(prefixes) is prefixes
    assert Prefixes.union([prefixes]) is prefixes
    assert Prefixes.union([NO_PREFIXES, prefixes]) is prefixes
    assert Prefixes.union([]) is NO_PREFIXES
    assert Prefixes(prefixes.ipv4, NO_WIDE).ipv4 is prefixes.ipv4


def test_its_text_is_short() -> None:
    written = ["10.0.0.0/8", "192.0.2.1/32", "2001:db8::/32"]
    assert repr(NO_PREFIXES) == "Prefixes()"
    assert repr(Prefixes.of(map(ip_network, written))) == "Prefixes(10.0.0.0/8, 192.0.2.1/32, 2001:db8::/32)"
    many = Prefixes.of(IPv4Network((number << 8, 24)) for number in range(5000))
    assert repr(many) == "Prefixes(0.0.0.0/24, 0.0.1.0/24, 0.0.2.0/24, ... 5,000 in all)"


def test_a_large_set_is_as_right_as_a_small_one() -> None:
    numbers = np.random.default_rng(4).integers(0, 1 << 32, 200_000, np.uint64)
    highs = np.random.default_rng(6).integers(0, 1 << 64, 100_000, np.uint64)
    wide = Wide(highs, np.zeros_like(highs), np.full(len(highs), 64, np.uint8))
    prefixes = Prefixes.of_arrays(numbers << np.uint64(8) | np.uint64(32), wide)
    assert len(prefixes) == len(set(numbers.tolist())) + len(set(highs.tolist()))
    added = ip_network(f"{ip_address(int(highs[7]) << 64)}/65")
    more = prefixes.with_([added, ip_network("10.0.0.0/8")])
    assert len(more) == len(prefixes) + 2
    assert more.contains(ip_address("10.255.255.255"))
    assert more.contains(ip_address(int(highs[99]) << 64 | 5))
    assert more.without([ip_network("10.0.0.0/8"), added]) == prefixes
