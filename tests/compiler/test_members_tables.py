"""Classes of addresses change in tables that are being read: never anything but the old or the new class."""

from __future__ import annotations

from bisect import bisect_right
from random import Random
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyxdp.abi import Entry, Page
from pyxdp.compiler.members import Delta, NeedsRebuildError
from pyxdp.compiler.members.growing import GrowingTable
from pyxdp.compiler.members.ipv4 import Ipv4Table
from pyxdp.compiler.members.ipv6 import Ipv6Table
from pyxdp.compiler.members.pieces import overlaid
from tests.compiler.slots import SlotModel
from tests.compiler.test_ipv6_blocks import SHAPES, blocks_of, pieces_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyxdp.compiler.members.pieces import Pieces, Spans

ROOM = {"pages": 600, "pieces": 4096, "ipv6": 4096, "rows": 1, "row_index": 1}
WIDTHS = {"pages": 256, "pieces": 4, "ipv6": 16}
BITS = {4: 32, 6: 128}
LAST = (1 << 128) - 1


class Tables:
    """Address tables, empty or of IPv6 pieces, what packets see of them, and a plain list of what should be there."""

    def __init__(self, version: int, room: dict[str, int] = ROOM, ipv6: Pieces | None = None) -> None:
        self.pieces: Pieces = ipv6 or [(0, 0)]
        contents = {
            "pages": np.full((Page.FIRST_FREE, 256), Entry.LEAF, np.uint32),
            "pieces": np.empty((0, 4), np.uint32),
            "ipv6": blocks_of(self.pieces).reshape(-1),
        }
        names = {4: ("pages", "pieces"), 6: ("ipv6",)}[version]
        self.growing = [GrowingTable(it, contents[it], width=WIDTHS[it], room=room[it]) for it in names]
        self.version = version
        self.seen = SlotModel(
            {name: value.tobytes() for name, value in contents.items()} | {"rows": b"", "row_index": b""}, room
        )
        self.table = Ipv4Table(*self.growing) if version == 4 else Ipv6Table(*self.growing)
        self.edges: set[int] = set()

    def change(self, spans: Spans, renamed: Callable[[int], int]) -> None:
        """Carry a change out, and watch addresses at its edges after every store."""
        before, end = self.pieces, 1 << BITS[self.version]
        self.pieces = overlaid(before, end, spans, renamed)
        watched = {step for first, last in spans for step in (first - 1, first, last, last + 1) if 0 <= step < end}
        expected = {address: {_at(before, address), _at(self.pieces, address)} for address in watched}
        self.table.remap(spans, renamed)
        for _ in self.seen.carried_out(self.taken()):
            for address, classes in expected.items():
                assert self.seen.class_of(self.version, address) in classes, f"{address:#x}"
        self.compare()

    def compare(self) -> None:
        """Look at both sides of every edge that there ever was."""
        end = 1 << BITS[self.version]
        self.edges |= {start for start, _ in self.pieces}
        for address in {edge + step for edge in self.edges for step in (-1, 0) if 0 <= edge + step < end}:
            assert self.seen.class_of(self.version, address) == _at(self.pieces, address), f"{address:#x}"

    def taken(self) -> Delta:
        taken = [table.taken() for table in self.growing]
        return Delta(tuple(it for writes, _ in taken for it in writes), tuple(it for _, flips in taken for it in flips))


def _at(pieces: Pieces, address: int) -> int:
    return pieces[bisect_right(pieces, (address, 1 << 30)) - 1][1]


def prefixes(version: int) -> st.SearchStrategy[tuple[int, int]]:
    """First and last address of prefixes that often touch, nest and repeat."""
    bits = BITS[version]
    lengths = st.sampled_from(
        (11, 13, 15, 16, 17, 20, 23, 24, 25, 28, 30, 31, 32, 32)
        if version == 4
        else (3, 16, 29, 32, 33, 47, 48, 63, 64, 65, 96, 127, 128, 128)
    )
    parts = st.sampled_from((0, 1, 2, 3, 0x7F, 0x80, 0xFE, 0xFF))

    def prefix(length: int, chosen: list[int]) -> tuple[int, int]:
        address = int.from_bytes(bytes(chosen), "big") >> bits - length << bits - length
        return address, address + (1 << bits - length) - 1

    return st.builds(prefix, lengths, st.lists(parts, min_size=bits // 8, max_size=bits // 8))


def spans_of(version: int, at_most: int) -> st.SearchStrategy[Spans]:
    return st.lists(prefixes(version), min_size=1, max_size=at_most).map(_disjoint)


def _disjoint(found: list[tuple[int, int]]) -> Spans:
    spans: Spans = []
    for first, last in sorted(found, key=lambda span: (span[0], -span[1])):
        if not spans or first > spans[-1][1]:
            spans.append((first, last))
    return spans


RENAMINGS: dict[str, Callable[[int], int]] = {
    "enter 1": lambda number: number | 1,
    "leave 1": lambda number: number & ~1,
    "enter 2": lambda number: number | 2,
    "leave 2": lambda number: number & ~2,
    "enter 4": lambda number: number | 4,
}


@pytest.mark.parametrize("version", [4, 6])
@given(data=st.data())
@settings(max_examples=25, deadline=None)
def test_every_address_has_its_old_or_its_new_class(version: int, data: st.DataObject) -> None:
    tables = Tables(version)
    for _ in range(data.draw(st.integers(1, 12))):
        spans = data.draw(spans_of(version, 6))
        try:
            tables.change(spans, RENAMINGS[data.draw(st.sampled_from(sorted(RENAMINGS)))])
        except NeedsRebuildError:
            return


@pytest.mark.parametrize("count", [3, 40, 300])
@pytest.mark.parametrize("shape", SHAPES)
def test_compiled_blocks_change_in_place(shape: str, count: int) -> None:
    """Blocks of every kind: pieces that the compiler saw, parts of them, and other prefixes of the same shape."""
    random = Random(f"{shape}{count}")  # noqa: S311 - reproducible
    tables = Tables(6, ipv6=pieces_of(random, shape, count))
    for _ in range(5):
        known = known_spans(tables)
        hosts = [span for span in known if span[0] == span[1]]
        others = [
            span for span in known_spans(Tables(6, ipv6=pieces_of(random, shape, 3))) if span[0] and span[1] < LAST
        ]
        spans = random.sample(known, min(3, len(known))) + random.sample(hosts, min(3, len(hosts)))
        spans += [(first, first) for first, _ in random.sample(known, 1)] + others[:1]
        tables.change(_disjoint(spans), lambda number: number ^ 1)


@pytest.mark.parametrize("shape", ["global unicast", "a few providers", "networks and hosts in them"])
def test_what_the_compiler_saw_changes_without_new_blocks(shape: str) -> None:
    random = Random(shape)  # noqa: S311 - reproducible
    tables = Tables(6, ipv6=pieces_of(random, shape, 200))
    (growing,) = tables.growing
    before = growing.end
    hosts = [span for span in known_spans(tables) if span[0] == span[1]]
    tables.change(_disjoint(random.sample(hosts, 20)), lambda number: number ^ 1)
    tables.change([(0, LAST)], lambda number: number ^ 1)
    assert growing.end == before


def known_spans(tables: Tables) -> Spans:
    """The first and last address of each piece."""
    starts = [start for start, _ in tables.pieces]
    return list(zip(starts, [start - 1 for start in starts[1:]] + [LAST], strict=True))
