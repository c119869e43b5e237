"""Pages and ranges, read as the programs read them, against a search in the sorted list they are made of."""

from __future__ import annotations

from bisect import bisect_right

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyxdp.abi import Index, Page
from pyxdp.compiler.lookup import PageBuilder, range_table
from tests.compiler.reader import look_up_page, look_up_range

Pieces = tuple[tuple[int, int], ...]

MASK64 = (1 << 64) - 1
TABLES = {"IPv4": (Page.IPV4, 32), "service": (Page.SERVICE, 19), "source port": (Page.SPORT, 16)}


def pieces_of(bits: int, *, at_most: int = 30) -> st.SearchStrategy[Pieces]:
    """Boundaries with many that are close together, at the edges, or equal in their upper or lower bytes."""
    near = st.builds(
        lambda high, low: (high << bits // 2 | low) & (1 << bits) - 1,
        st.sampled_from((0, 1, 2, 0x7F, (1 << bits // 2) - 1)),
        st.sampled_from((0, 1, 2, 255, 256, 257, (1 << bits // 2) - 1)),
    )
    starts = st.sets(st.integers(1, (1 << bits) - 1) | near.filter(bool), max_size=at_most)
    return starts.flatmap(
        lambda chosen: st.lists(st.integers(0, 7), min_size=len(chosen) + 1, max_size=len(chosen) + 1).map(
            lambda classes: tuple(zip((0, *sorted(chosen)), classes, strict=True))
        )
    )


def expected(pieces: Pieces, key: int) -> int:
    return pieces[bisect_right(pieces, (key, MASK64)) - 1][1]


def keys_about(pieces: Pieces, bits: int) -> set[int]:
    """Every boundary and its neighbours, and both ends of the space."""
    last = (1 << bits) - 1
    near = {start + step for start, _ in pieces for step in (-1, 0, 1)}
    return {key for key in near if 0 <= key <= last} | {last}


@pytest.mark.parametrize(("page", "bits"), TABLES.values(), ids=TABLES)
@given(data=st.data())
@settings(max_examples=40, deadline=None)
def test_pages(page: int, bits: int, data: st.DataObject) -> None:
    pieces = data.draw(pieces_of(bits))
    builder = PageBuilder()
    builder.place(page, bits, pieces)
    keys = keys_about(pieces, bits) | set(data.draw(st.lists(st.integers(0, (1 << bits) - 1), max_size=20)))
    for key in keys:
        assert look_up_page(builder.entries, page, bits, key) == expected(pieces, key), f"{key:#x}"


@given(pieces_of(32), pieces_of(19), pieces_of(16))
@settings(max_examples=20, deadline=None)
def test_tables_side_by_side(ipv4: Pieces, service: Pieces, sport: Pieces) -> None:
    builder = PageBuilder()
    drawn = dict(zip(TABLES, (ipv4, service, sport), strict=True))
    for name, (page, bits) in TABLES.items():
        builder.place(page, bits, drawn[name])
    for name, (page, bits) in TABLES.items():
        for key in keys_about(drawn[name], bits):
            assert look_up_page(builder.entries, page, bits, key) == expected(drawn[name], key)


def test_equal_pages_are_stored_once() -> None:
    """A thousand /32 at the same place of as many /24: one page for all last bytes."""
    starts = [(number << 8 | 7) + step for number in range(1000) for step in (0, 1)]
    pieces = ((0, 0), *((start, 1 - index % 2) for index, start in enumerate(starts)))
    builder = PageBuilder()
    builder.place(Page.IPV4, 32, pieces)
    pages = len(builder.entries) // 256 - Page.FIRST_FREE
    assert pages == 3  # the last bytes; the third bytes of 0.0, 0.1 and 0.2; those of 0.3, of which not all are in use


@given(pieces_of(128), st.lists(st.integers(0, (1 << 128) - 1), max_size=20))
def test_ranges(pieces: Pieces, keys: list[int]) -> None:
    table = range_table(pieces)
    for key in keys_about(pieces, 128) | set(keys):
        assert look_up_range(table.ranges, table.index, key) == expected(pieces, key), f"{key:#x}"


@given(st.integers(0, 64), st.integers(0, MASK64), st.data())
def test_ranges_within_one_prefix(length: int, base: int, data: st.DataObject) -> None:
    """Policies are about few providers: most ranges share their first bits."""
    prefix = base >> length << length if length < 64 else 0
    offsets = data.draw(st.lists(st.integers(0, (1 << length) - 1), max_size=40, unique=True))
    starts = sorted({(prefix | offset) << 64 for offset in offsets} - {0})
    pieces = ((0, 0), *((start, number % 5 + 1) for number, start in enumerate(starts)))
    table = range_table(pieces)
    for key in keys_about(pieces, 128):
        assert look_up_range(table.ranges, table.index, key) == expected(pieces, key), f"{key:#x}"


def test_buckets_of_many_ranges_are_small() -> None:
    """No search is long when ranges are spread evenly over the span that has any."""
    pieces = ((0, 0), *((0x20010DB8 << 96 | number << 64, number % 2 + 1) for number in range(1 << 16)))
    table = range_table(pieces)
    buckets = table.index[Index.BUCKETS :]
    assert max(bucket >> 32 for bucket in buckets) <= 3
