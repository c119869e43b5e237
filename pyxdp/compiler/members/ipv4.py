"""Changing the classes of IPv4 addresses in pages and lists that packets are reading.

Every /16 has an entry of the root, whose 256 pages nobody shares. Below it there is one page of entries, one for each
/24; below those a list of pieces or another page. A page that only one entry leads to is changed in place, where each
address hangs on one entry. What is shared, and every list, is written anew and then led to.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Final, TypeAlias

import numpy as np

from pyxdp.abi import Entry, Limit, Page
from pyxdp.compiler.members.pieces import overlaid

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from pyxdp.compiler.members.growing import GrowingTable
    from pyxdp.compiler.members.pieces import Pieces, Spans

_WIDTH: Final = int(Limit.PAGE_ENTRIES)
_ROOTS: Final = 1 << 16
_UNIT: Final = int(Limit.PIECES_PER_UNIT)
_LONGEST: Final = _UNIT << Entry.PIECES_MAX - 1
_LEAF: Final = int(Entry.LEAF)
_CLASS: Final = int(Entry.LEAF_MASK)

Entries: TypeAlias = "NDArray[np.uint32]"


class Ipv4Table:
    """The IPv4 part of a slot's pages and pieces."""

    def __init__(self, pages: GrowingTable, pieces: GrowingTable) -> None:
        self._pages = pages
        self._pieces = pieces
        root = pages.words(Page.IPV4, _ROOTS // _WIDTH)
        self._leading = np.bincount(root[root < _LEAF], minlength=1)
        self._own_pages: set[int] = set()
        self._lists: dict[bytes, int] = {}

    def remap(self, spans: Spans, renamed: Callable[[int], int]) -> None:
        """Give every address of some spans another class.

        Args:
            spans: first and last address, ascending and disjoint.
            renamed: the new class of addresses that have a class now.

        Raises:
            NeedsRebuildError: there is no room.
        """
        for root, part in _blocks(spans, 16):
            self._remap_root(root, part, renamed)

    def _remap_root(self, root: int, spans: Spans, renamed: Callable[[int], int]) -> None:
        number, index = divmod(root, _WIDTH)
        entry = int(self._pages.element(Page.IPV4 + number)[index])
        if entry & _LEAF:
            self._remap_leaf(number, index, entry, spans, renamed)
            return
        before: Entries = self._pages.element(entry)
        after = self._remapped(before, spans, renamed)
        changed = np.flatnonzero(after != before)
        if not changed.size:
            return
        if entry in self._own_pages or self._leading[entry] == 1:
            for at in changed.tolist():
                self._pages.store(entry, at, int(after[at]))
        else:
            self._pages.store(Page.IPV4 + number, index, self._append_page(after))

    def _remap_leaf(self, number: int, index: int, entry: int, spans: Spans, renamed: Callable[[int], int]) -> None:
        if spans == [(0, _ROOTS - 1)]:
            after = _LEAF | renamed(entry & _CLASS)
        else:
            before = np.full(_WIDTH, entry, np.uint32)
            entries = self._remapped(before, spans, renamed)
            after = entry if (entries == before).all() else self._append_page(entries)
        if after != entry:
            self._pages.store(Page.IPV4 + number, index, after)

    def _remapped(self, before: Entries, spans: Spans, renamed: Callable[[int], int]) -> Entries:
        """Return the entries of a page for the third byte with other classes; spans are of the lower 16 bits."""
        after: Entries = before.copy()
        for block, part in _blocks(spans, 8):
            after[block] = self._remap_block(int(before[block]), part, renamed)
        return after

    def _remap_block(self, entry: int, spans: Spans, renamed: Callable[[int], int]) -> int:
        """Return the entry of a /24 with other classes."""
        if entry & _LEAF and spans == [(0, _WIDTH - 1)]:
            return _LEAF | renamed(entry & _CLASS)
        before = self._pieces_of(entry)
        after = overlaid(before, _WIDTH, spans, renamed)
        if after == before:
            return entry
        if len(after) == 1:
            return _LEAF | after[0][1]
        if entry in self._own_pages:
            self._change_page(entry, after)
            return entry
        return self._append_list(after) if len(after) <= _LONGEST else self._append_page(_expanded(after))

    def _pieces_of(self, entry: int) -> Pieces:
        if entry & _LEAF:
            return [(0, entry & _CLASS)]
        k, number = entry >> Entry.PIECES_SHIFT, entry & Entry.NUMBER_MASK
        if k:
            units = self._pieces.words(number, 1 << k - 1)
            self._lists.setdefault(units.tobytes(), number)
            listed = [(word >> 24, word & 0xFFFFFF) for word in units.tolist()]
        else:
            listed = [(at, word & _CLASS) for at, word in enumerate(self._pages.element(number).tolist())]
        return [listed[0], *(piece for last, piece in pairwise(listed) if piece[1] != last[1])]

    def _append_list(self, pieces: Pieces) -> int:
        """Return an entry that leads to a list: to an equal one that was seen before if there is one.

        Lists never change, so that adding an address and removing it again, for ever, takes room once.
        """
        k = (-(-len(pieces) // _UNIT) - 1).bit_length() + 1
        words = [first << 24 | number for first, number in pieces]
        padded = np.array(words + words[-1:] * ((_UNIT << k - 1) - len(words)), np.uint32)
        content = padded.tobytes()
        if content not in self._lists:
            self._lists[content] = self._pieces.append(padded)
        return k << Entry.PIECES_SHIFT | self._lists[content]

    def _append_page(self, entries: Entries) -> int:
        page = self._pages.append(entries)
        self._own_pages.add(page)
        return page

    def _change_page(self, page: int, pieces: Pieces) -> None:
        before, after = self._pages.element(page), _expanded(pieces)
        for at in np.flatnonzero(after != before).tolist():
            self._pages.store(page, at, int(after[at]))


def _expanded(pieces: Pieces) -> Entries:
    starts = [first for first, _ in pieces]
    lengths = np.diff([*starts, _WIDTH])
    return np.repeat(np.array([_LEAF | number for _, number in pieces], np.uint32), lengths)


def _blocks(spans: Sequence[tuple[int, int]], bits: int) -> Iterator[tuple[int, list[tuple[int, int]]]]:
    """Cut spans at multiples of ``2**bits``; yield each block's number and its spans, counted from its start."""
    mask = (1 << bits) - 1
    current, part = -1, list[tuple[int, int]]()
    for first, last in spans:
        for block in range(first >> bits, (last >> bits) + 1):
            if block != current:
                if part:
                    yield current, part
                current, part = block, []
            low, high = max(first, block << bits) & mask, min(last, block << bits | mask) & mask
            part.append((low, high))
    if part:
        yield current, part
