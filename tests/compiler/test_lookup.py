"""Pages and lists of pieces, read as the programs read them, against a search in the sorted list they are made of."""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyxdp.abi import Limit, Page
from pyxdp.compiler.addresses import Pieces
from pyxdp.compiler.image import as_table
from pyxdp.compiler.pages import address_pages, all_pages
from tests.compiler.reader import Lookup

if TYPE_CHECKING:
    from collections.abc import Sequence
    from random import Random

    Boundaries = Sequence[tuple[int, int]]

MASK64 = (1 << 64) - 1
WHOLE = ((0, 0),)


def pieces_of(bits: int, *, at_most: int = 30) -> st.SearchStrategy[Boundaries]:
    """Boundaries with many that are close together, at the edges, or equal in their upper or lower bytes."""
    near = st.builds(
        lambda high, low: (high << bits // 2 | low) & (1 << bits) - 1,
        st.sampled_from((0, 1, 2, 0x7F, (1 << bits // 2) - 1)),
        st.sampled_from((0, 1, 2, 255, 256, 257, (1 << bits // 2) - 1)),
    )
    starts = st.sets(st.integers(1, (1 << bits) - 1) | near.filter(bool), max_size=at_most)
    return starts.flatmap(
        lambda chosen: st.lists(st.integers(0, 7), min_size=len(chosen) + 1, max_size=len(chosen) + 1).map(
            lambda classes: merged(tuple(zip((0, *sorted(chosen)), classes, strict=True)))
        )
    )


def merged(pieces: Boundaries) -> Boundaries:
    """Neighbours of one class are one piece."""
    return tuple(one for number, one in enumerate(pieces) if not number or one[1] != pieces[number - 1][1])


def tables(*, ipv4: Boundaries = WHOLE, services: Boundaries = WHOLE, sports: Boundaries = WHOLE) -> Lookup:
    """Build the tables, and hand them over as the maps hold them."""
    addresses = address_pages(Pieces(*columns(ipv4)))
    pages = all_pages(addresses, *(Pieces(*columns(one)) for one in (services, sports)))
    return Lookup(*(as_table(one).cast("I") for one in (pages, addresses.units)))


def columns(pieces: Boundaries) -> tuple[np.ndarray, np.ndarray]:
    return np.array([start for start, _ in pieces], np.uint64), np.array([number for _, number in pieces], np.uint32)


def expected(pieces: Boundaries, key: int) -> int:
    return pieces[bisect_right(pieces, (key, MASK64)) - 1][1]


def keys_about(pieces: Boundaries, bits: int) -> set[int]:
    """Every boundary and its neighbours, and both ends of the space."""
    last = (1 << bits) - 1
    near = {start + step for start, _ in pieces for step in (-1, 0, 1)}
    return {key for key in near if 0 <= key <= last} | {last}


@given(pieces_of(32), pieces_of(19), pieces_of(16), st.lists(st.integers(0, (1 << 32) - 1), max_size=20))
@settings(max_examples=40, deadline=None)
def test_every_number_finds_its_class(
    ipv4: Boundaries, services: Boundaries, sports: Boundaries, keys: list[int]
) -> None:
    built = tables(ipv4=ipv4, services=services, sports=sports)
    for find, pieces, bits in ((built.ipv4, ipv4, 32), (built.service, services, 19), (built.sport, sports, 16)):
        for key in keys_about(pieces, bits) | {key & (1 << bits) - 1 for key in keys}:
            assert find(key) == expected(pieces, key), f"{key:#x}"


@given(st.sets(st.integers(1, 255), max_size=40), st.integers(0, (1 << 24) - 1), st.randoms(use_true_random=False))
@settings(max_examples=60, deadline=None)
def test_any_number_of_pieces_in_a_24(starts: set[int], block: int, random: Random) -> None:
    """Lists of one to eight units, and pages for what is longer."""
    inner = merged([(start, random.randrange(3)) for start in sorted({0} | starts)])
    following = [((block + 1) << 8, 7)] if block + 1 < 1 << 24 else []
    pieces = merged([(0, 5), *((block << 8 | start, number) for start, number in inner), *following][not block :])
    built = tables(ipv4=pieces)
    for byte in range(256):
        assert built.ipv4(block << 8 | byte) == expected(pieces, block << 8 | byte)
    length = len(inner) if len(inner) > 1 else 0
    units = next((1 << k for k in range(4) if length <= 4 << k), 0) if length else 0
    assert len(built.units) == units * Limit.PIECES_PER_UNIT
    assert pages(built) == (bool(length) or inner != ((0, 5),)) + (length > 32)


def pages(built: Lookup) -> int:
    """How many there are besides those with a fixed place."""
    return len(built.pages) // Limit.PAGE_ENTRIES - Page.FIRST_FREE


def test_equal_lists_are_stored_once() -> None:
    """A thousand /32 at the same place of as many /24."""
    starts = [(number << 8 | 7) + step for number in range(1000) for step in (0, 1)]
    built = tables(ipv4=((0, 0), *((start, 1 - index % 2) for index, start in enumerate(starts))))
    assert len(built.units) == Limit.PIECES_PER_UNIT
    assert pages(built) == 2  # the third bytes of 0.0, 0.1 and 0.2; those of 0.3, of which not all are in use


def test_equal_pages_are_stored_once_among_services_and_never_with_addresses() -> None:
    """Whoever changes a page of addresses in place must not change what ports mean."""
    protocols = [(space << 16 | 80, 1) for space in range(8)]
    services = ((0, 0), *(one for key, number in protocols for one in ((key, number), (key + 1, 0))))
    third = ((0, 0), (80 << 8, 1), (81 << 8, 0))
    assert pages(tables(services=services)) == 1
    assert pages(tables(services=services, sports=((0, 0), (80, 1), (81, 0)), ipv4=third)) == 3


@pytest.mark.parametrize("pieces", [((0, 5),), ((0, 5), (1 << 31, 6)), ((0, 5), ((1 << 32) - 1, 6))])
def test_few_pieces(pieces: Boundaries) -> None:
    built = tables(ipv4=pieces)
    for key in keys_about(pieces, 32):
        assert built.ipv4(key) == expected(pieces, key)
