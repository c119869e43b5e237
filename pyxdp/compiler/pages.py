"""The pages that IPv4 addresses, service keys and source ports walk, and the lists of pieces at their end.

A page stands for an aligned range of numbers and has an entry for each of its 256 parts. Where a part is of one class,
the entry says which; where it is cut, the entry leads to a page for the part, or to a list of its pieces. Equal pages
and equal lists of one level are stored once: many a blocklist has one address in each of a million /24.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from pyxdp.abi import Entry, Limit, Page, Piece, Service
from pyxdp.compiler.addresses import Pieces
from pyxdp.compiler.lists import beginnings, distinct_rows

if TYPE_CHECKING:
    from collections.abc import Sequence


Entries: TypeAlias = NDArray[np.uint32]

_WIDTH: Final = int(Limit.PAGE_ENTRIES)
_BYTE: Final = np.uint64(8)
_BLOCK: Final = np.uint64(16)
_LAST: Final = np.uint64(0xFF)
_UNIT: Final = int(Limit.PIECES_PER_UNIT)
_LEAF: Final = np.uint32(Entry.LEAF)


class AddressPages(NamedTuple):
    """What IPv4 addresses are looked up in.

    Attributes:
        root: the pages of the first two bytes.
        pages: those that follow, part by part, numbered from the first free page on.
        lists: units of lists of pieces, part by part, one a row.
    """

    root: Entries
    pages: tuple[Entries, ...]
    lists: tuple[Entries, ...]

    @property
    def units(self) -> Entries:
        """All units."""
        return np.concatenate(self.lists)

    @property
    def size(self) -> int:
        """How many pages there are, without the first ones."""
        return sum(map(len, self.pages))

    def within(self, table: Entries) -> AddressPages:
        """Return the same as a part of the whole table: tens of megabytes that need not be held twice."""
        first = int(Page.FIRST_FREE)
        return self._replace(pages=(table[first : first + self.size],))


def address_pages(pieces: Pieces) -> AddressPages:
    """Build the tables of IPv4 addresses: two bytes, then one, then one."""
    root = _leaves(pieces, np.arange(_WIDTH, dtype=np.uint64), 16)
    tables = _Tables()
    _end_in_pages(tables, root, pieces)
    return AddressPages(root, tuple(tables.pages), tuple(tables.units))


def changed_pages(before: AddressPages, pieces: Pieces, changed: Sequence[tuple[int, int]]) -> AddressPages:
    """Build those parts again in which pieces changed, behind what there is.

    Args:
        before: the tables.
        pieces: all of them, as they are now.
        changed: first and last addresses of what changed, ascending.
    """
    blocks = np.unique(
        np.concatenate([np.arange(first >> 16, (last >> 16) + 1, dtype=np.uint64) for first, last in changed])
    )
    begins = np.searchsorted(pieces.starts, blocks << _BLOCK, side="right") - 1
    ends = np.searchsorted(pieces.starts, (blocks + np.uint64(1)) << _BLOCK)
    places = np.concatenate([np.arange(begin, end) for begin, end in zip(begins, ends, strict=True)])
    starts = pieces.starts[places]
    first = np.concatenate(([0], np.cumsum(ends - begins)))[:-1]
    starts[first] = blocks << _BLOCK
    inside = Pieces(starts, pieces.classes[places])
    root = before.root.copy()
    root[blocks >> _BYTE, blocks & _LAST] = inside.classes[first] | _LEAF
    tables = _Tables(before)
    _end_in_pages(tables, root, inside)
    return AddressPages(root, (*before.pages, *tables.pages), (*before.lists, *tables.units))


def _end_in_pages(tables: _Tables, root: Entries, pieces: Pieces) -> None:
    """Store what follows the first two bytes, and let the root lead there."""
    cut = _cut(pieces, 16)
    pages = _leaves(pieces, cut, 8)
    blocks, entries = tables.last_bytes(pieces)
    pages[np.searchsorted(cut, blocks >> _BYTE), blocks & _LAST] = entries
    root[cut >> _BYTE, cut & _LAST] = tables.add(pages)


def all_pages(addresses: AddressPages, services: Pieces, sports: Pieces) -> Entries:
    """Return the table of pages, with those for services and source ports behind those for addresses."""
    tables = _Tables(addresses)
    roots = {
        Page.IPV4: addresses.root,
        Page.SERVICE: tables.numbers(int(Service.SERVICES), services),
        Page.SPORT: tables.numbers(1, sports),
    }
    pages = np.concatenate((np.empty((int(Page.FIRST_FREE), _WIDTH), np.uint32), *addresses.pages, *tables.pages))
    for page, root in roots.items():
        pages[page : page + len(root)] = root
    return pages


class _Tables:
    """Pages and units of lists, in the order of their numbers.

    Args:
        behind: those that are there already.
    """

    def __init__(self, behind: AddressPages | None = None) -> None:
        self.pages: list[Entries] = []
        self.units: list[Entries] = []
        self.page_count = int(Page.FIRST_FREE) + (behind.size if behind else 0)
        self.unit_count = sum(map(len, behind.lists)) if behind else 0

    def numbers(self, count: int, pieces: Pieces) -> Entries:
        """Store the pages of the last byte of numbers below ``count << 16`` and return those of what is before."""
        root = _leaves(pieces, np.arange(count, dtype=np.uint64), 8)
        cut = _cut(pieces, 8)
        root[cut >> _BYTE, cut & _LAST] = self.add(_leaves(pieces, cut, 0))
        return root

    def last_bytes(self, pieces: Pieces) -> tuple[NDArray[np.uint64], Entries]:
        """Store the pieces of each /24 that is cut.

        Returns:
            The first 24 bits of each, and the entry that leads there.
        """
        inner = np.flatnonzero(pieces.starts & _LAST)
        runs = beginnings(pieces.starts[inner] >> _BYTE)
        # The piece before the first cut reaches into the /24.
        first, count = inner[runs] - 1, np.diff(runs, append=len(inner)) + 1
        blocks = pieces.starts[inner[runs]] >> _BYTE
        entries = np.empty(len(blocks), np.uint32)
        shorter = 0
        for k in range(1, Entry.PIECES_MAX + 1):
            length = _UNIT << k - 1
            some = (count > shorter) & (count <= length)
            entries[some] = self._add_lists(k, _lists(pieces, first[some], count[some], length))
            shorter = length
        entries[count > shorter] = self.add(_leaves(pieces, blocks[count > shorter], 0))
        return blocks, entries

    def add(self, pages: Entries) -> Entries:
        """Store pages and return their numbers."""
        first, numbers = distinct_rows(pages)
        self.pages.append(pages[first])
        self.page_count += len(first)
        return (self.page_count - len(first) + numbers).astype(np.uint32)

    def _add_lists(self, k: int, lists: Entries) -> Entries:
        """Store lists of ``1 << k - 1`` units and return entries that lead to them."""
        first, numbers = distinct_rows(lists)
        units = lists[first].reshape(-1, _UNIT)
        self.units.append(units)
        self.unit_count += len(units)
        found = self.unit_count - len(units) + (numbers << k - 1)
        return (found | k << Entry.PIECES_SHIFT).astype(np.uint32)


def _cut(pieces: Pieces, bits: int) -> NDArray[np.uint64]:
    """Return which aligned ranges of ``1 << bits`` numbers are cut, by the bits above."""
    inner: NDArray[np.uint64] = pieces.starts[pieces.starts & np.uint64((1 << bits) - 1) != 0] >> np.uint64(bits)
    return inner[beginnings(inner)]


def _leaves(pieces: Pieces, ranges: NDArray[np.uint64], bits: int) -> Entries:
    """Return a page for each range of ``256 << bits`` numbers, whose entries have the class each part begins with."""
    starts = pieces.starts
    parts = (starts + np.uint64((1 << bits) - 1)) >> np.uint64(bits)  # the first that begins in each piece
    rank = np.searchsorted(ranges, parts >> _BYTE)
    inside = rank < len(ranges)
    inside[inside] = ranges[rank[inside]] == parts[inside] >> _BYTE
    places = np.concatenate(
        (np.arange(len(ranges)) * _WIDTH, rank[inside] * _WIDTH + (parts[inside] & _LAST).astype(int))
    )
    around = np.searchsorted(starts, ranges << (np.uint64(bits) + _BYTE), side="right") - 1
    classes = np.concatenate((pieces.classes[around], pieces.classes[inside]))
    order = np.argsort(places, kind="stable")
    places = places[order]
    last = np.append(places[1:] != places[:-1], True)[: len(places)]
    lengths = np.diff(places[last], append=len(ranges) * _WIDTH)
    return np.repeat(classes[order][last] | _LEAF, lengths).reshape(-1, _WIDTH)


def _lists(pieces: Pieces, first: NDArray[np.int64], count: NDArray[np.int64], length: int) -> Entries:
    """Return for each run of pieces a list of this length; the last piece is repeated."""
    places = np.minimum(first[:, None] + np.arange(length), (first + count - 1)[:, None])
    begins = (pieces.starts[places] & _LAST).astype(np.uint32)
    begins[:, 0] = 0
    lists: Entries = pieces.classes[places] | begins << np.uint32(Piece.FIRST_SHIFT)
    return lists
