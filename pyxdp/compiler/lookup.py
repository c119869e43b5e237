"""Lookup tables: 256-way pages for IPv4 addresses, services and source ports; sorted ranges for IPv6 addresses."""

from __future__ import annotations

from array import array
from bisect import bisect_right
from dataclasses import dataclass, field
from itertools import groupby
from typing import TYPE_CHECKING, Final

from pyxdp import abi
from pyxdp.abi import Entry, Page

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    Boundaries = Sequence[tuple[int, int]]

_WIDTH: Final = 256
_LAST_LEVEL: Final = 8
_MASK64: Final = (1 << 64) - 1
#: The index of IPv6 ranges has about eight buckets for each range, and no more than ``2**_INDEX_BITS``.
_INDEX_SPARE_BITS: Final = 3
_INDEX_BITS: Final = 17


@dataclass
class PageBuilder:
    """Fills pages; equal pages are stored once.

    Attributes:
        entries: of all pages so far, beginning with those that have a fixed place.
    """

    entries: array[int] = field(default_factory=lambda: array("I", [Entry.LEAF]) * (Page.FIRST_FREE * _WIDTH))
    _known: dict[bytes, int] = field(default_factory=dict)

    def place(self, page: int, bits: int, pieces: Boundaries) -> None:
        """Put a table at a fixed page.

        Args:
            page: number of its first page.
            bits: of the values; everything but the lower bytes indexes the root.
            pieces: ``(first value, class)`` from 0 upwards.
        """
        root_bits = bits - _LAST_LEVEL if bits < 32 else 16  # noqa: PLR2004 - IPv4: 16, 8, 8
        root = self._level(pieces, bits, root_bits, 0, 0, len(pieces))
        start = page * _WIDTH
        self.entries[start : start + len(root)] = root

    def _level(  # noqa: PLR0913, PLR0917 - where in the table, and which part of the pieces
        self, pieces: Boundaries, bits: int, index_bits: int, base: int, low: int, high: int
    ) -> array[int]:
        """Return the entries of one node: ``2**index_bits`` children of the values from ``base`` on.

        ``pieces[low:high]`` are those that reach into the node.
        """
        child_bits, count = bits - index_bits, 1 << index_bits
        entries = array("I")
        position = low
        while len(entries) < count:
            start = base + (len(entries) << child_bits)
            while position + 1 < high and pieces[position + 1][0] <= start:
                position += 1
            until = pieces[position + 1][0] if position + 1 < high else base + (count << child_bits)
            if whole := (until - start) >> child_bits:
                entries.extend(array("I", [Entry.LEAF | pieces[position][1]]) * min(whole, count - len(entries)))
                continue
            end = position + 1
            while end < high and pieces[end][0] < start + (1 << child_bits):
                end += 1
            entries.append(self._page(self._level(pieces, child_bits, _LAST_LEVEL, start, position, end)))
            position = end - 1
        return entries

    def _page(self, entries: array[int]) -> int:
        content = entries.tobytes()
        if content not in self._known:
            self._known[content] = len(self.entries) // _WIDTH
            self.entries.extend(entries)
        return self._known[content]


@dataclass(frozen=True, slots=True)
class RangeTable:
    """IPv6 lookup.

    Attributes:
        ranges: of the upper 64 bits, then those of lower halves.
        index: entries as ``enum pyxdp_index`` says.
    """

    ranges: tuple[abi.Range, ...]
    index: tuple[int, ...]


def range_table(pieces: Boundaries) -> RangeTable:
    """Build the tables for ``(first address, class)`` from 0 upwards."""
    main = list(_upper_halves(pieces))
    below: list[abi.Range] = []
    ranges: list[abi.Range] = []
    for start, lower in main:
        if len(lower) == 1:
            ranges.append(abi.Range(start, lower[0][1], 0))
        else:
            ranges.append(abi.Range(start, len(main) + len(below), len(lower)))
            below += (abi.Range(low, number, 0) for low, number in lower)
    return RangeTable((*ranges, *below), tuple(_range_index(ranges)))


def _range_index(main: Sequence[abi.Range]) -> Iterator[int]:
    """Yield the index of the main ranges: a few buckets for each, over the span that has any.

    The first range begins at 0; the span begins with the second.
    """
    starts = [one.start for one in main]
    origin = starts[1] if len(starts) > 1 else 0
    span = starts[-1] - origin
    bits = min((len(starts) - 1).bit_length() + _INDEX_SPARE_BITS, _INDEX_BITS)
    shift = max(span.bit_length() - bits, 0)
    last = span >> shift
    yield origin
    yield shift | last + 1 << 32
    yield _bucket(main, 0, 0)
    for bucket in range(last + 1):
        low = origin + (bucket << shift)
        yield _bucket(main, bisect_right(starts, low) - 1, bisect_right(starts, low + (1 << shift) - 1) - 1)


def _bucket(main: Sequence[abi.Range], first: int, last: int) -> int:
    """Return the entry of a bucket whose keys are in these ranges."""
    only = main[first] if first == last else None
    return only.value if only and not only.length else first | last - first + 1 << 32


def _upper_halves(pieces: Boundaries) -> Iterator[tuple[int, list[tuple[int, int]]]]:
    """Yield each upper half at which something changes, with the pieces of its lower half from 0 on."""
    current = 0
    following = -1
    for upper, group in groupby(pieces, key=lambda piece: piece[0] >> 64):
        if following not in (-1, upper):
            yield following, [(0, current)]
        lower = [(start & _MASK64, number) for start, number in group]
        if lower[0][0]:
            lower.insert(0, (0, current))
        yield upper, lower
        current = lower[-1][1]
        following = upper + 1 if len(lower) > 1 else -1
    if following not in (-1, 1 << 64):
        yield following, [(0, current)]
