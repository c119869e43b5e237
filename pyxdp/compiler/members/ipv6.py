"""Changing the classes of IPv6 addresses in blocks that packets are reading.

Only one entry leads to a block. An entry whose addresses all change is changed in place. Where a prefix ends inside of
what has one class so far, that entry is led to cuts that are written first; with other cuts around it, which are few,
they are written anew together, so that a walk does not grow longer with every change.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING, Final

import numpy as np

from pyxdp import abi
from pyxdp.abi import Entry, Ipv6Entry, Ipv6Kind, Limit
from pyxdp.compiler.members.delta import NeedsRebuildError
from pyxdp.compiler.members.entries import BlockEntry, BlockReader, Range
from pyxdp.compiler.members.pieces import overlaid

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from pyxdp.compiler.members.growing import GrowingTable, Words
    from pyxdp.compiler.members.pieces import Pieces, Spans

_LEAF: Final = int(Entry.LEAF)
_CLASS: Final = int(Entry.LEAF_MASK)
_LOWER: Final = int(Ipv6Entry.LOWER)
_VALUES: Final = int(Limit.BLOCK_CUTS) + 1
_HALF: Final = 64
_LOW: Final = (1 << _HALF) - 1
#: Values of neighbouring cuts that are written anew together.
_TOGETHER: Final = _VALUES**2
#: Entries that one change visits at most; more are compiled afresh in less time.
_MANY: Final = 20_000


class Ipv6Table:
    """The blocks of a slot."""

    def __init__(self, blocks: GrowingTable) -> None:
        self._blocks = blocks

    def remap(self, spans: Spans, renamed: Callable[[int], int]) -> None:
        """Give every address of some spans another class.

        Args:
            spans: first and last address, ascending and disjoint.
            renamed: the new class of addresses that have a class now.

        Raises:
            NeedsRebuildError: there is no room, or walks would become too long.
        """
        _Change(self._blocks, renamed).remapped_tree(0, None, spans)


class _Change:
    """One change of classes."""

    def __init__(self, blocks: GrowingTable, renamed: Callable[[int], int]) -> None:
        self._blocks = blocks
        self._reader = BlockReader(blocks)
        self._renamed = renamed
        self._visited = 0

    def remapped_tree(self, block: int, upper: int | None, spans: Spans) -> None:
        """Change the tree of a half of addresses, which begins with two blocks."""
        for number, first, last in ((block, 0, _LOW >> 1), (block + 1, _LOW + 1 >> 1, _LOW)):
            at = Range(number, first, last, upper)
            self._remap_entries(self._reader.entries(at, spans, 0))

    def remapped(self, at: Range, spans: Spans, depth: int) -> int:
        """Change what an entry leads to; return what the entry has to be.

        Args:
            at: the entry.
            spans: what changes; others are left out.
            depth: blocks on the way to the entry with this key.
        """
        spans = at.clipped(spans)
        if not spans:
            return at.entry
        self._visit()
        if at.is_leaf:
            return self._remapped_leaf(at, spans, depth)
        if at.entry & _LOWER:
            self.remapped_tree(at.block, at.first, spans)
            return at.entry
        if self._reader.is_cuts(at) and any(
            child.is_leaf and _cuts(spans, child) for *_, child in self._reader.values(at)
        ):
            return self._rewritten(at, spans, depth)
        self._remap_entries(self._reader.entries(at, spans, depth))
        return at.entry

    def _remap_entries(self, entries: Iterator[BlockEntry]) -> None:
        for at in entries:
            after = self.remapped(at.range, at.spans, at.depth)
            if after != at.range.entry:
                self._blocks.store(at.block, at.word, after | at.flag)

    def _visit(self) -> None:
        self._visited += 1
        if self._visited > _MANY:
            raise NeedsRebuildError(f"more than {_MANY:,} IPv6 entries are concerned")

    def _remapped_leaf(self, at: Range, spans: Spans, depth: int) -> int:
        if spans == [(at.first_address, at.last_address)]:
            return _LEAF | self._renamed(at.entry & _CLASS)
        parts = self._cut(at, spans)
        return at.entry if parts is None else self._tree(parts, depth)

    def _cut(self, at: Range, spans: Spans) -> list[Range] | None:
        """Return what becomes of a leaf; ``None`` if nothing does."""
        number = at.entry & _CLASS
        first = at.first_address
        moved = [(low - first, high - first) for low, high in spans]
        pieces = overlaid([(0, number)], at.last_address - first + 1, moved, self._renamed)
        if len(pieces) == 1:
            return None if pieces[0][1] == number else [replace(at, entry=_LEAF | pieces[0][1])]
        shifted = [(start + first, one) for start, one in pieces]
        return list(self._parts(at, shifted))

    def _parts(self, at: Range, pieces: Pieces) -> Iterator[Range]:
        """Yield ranges of the keys of ``at`` that pieces of its addresses make."""
        ends = [start - 1 for start, _ in pieces[1:]] + [at.last_address]
        if at.upper is not None:
            for (start, number), end in zip(pieces, ends, strict=True):
                yield Range(_LEAF | number, start & _LOW, end & _LOW, at.upper)
            return
        mixed: Pieces = []
        for (start, number), end in zip(pieces, ends, strict=True):
            first, last = start, end
            if mixed:
                mixed.append((start & _LOW, number))
                if end >> _HALF == start >> _HALF and end & _LOW != _LOW:
                    continue
                yield self._mixed(start >> _HALF, mixed)
                mixed, first = [], (start | _LOW) + 1
            if last & _LOW != _LOW:
                mixed, last = [(0, number)], (last & ~_LOW) - 1
            if first <= last:
                yield Range(_LEAF | number, first >> _HALF, last >> _HALF, None)

    def _mixed(self, upper: int, pieces: Pieces) -> Range:
        """The range of a single upper half, whose lower halves have several classes."""
        inner = list(self._parts(Range(0, 0, _LOW, upper), [(upper << _HALF | low, one) for low, one in pieces]))
        lower = [replace(one, last=min(one.last, _LOW >> 1)) for one in inner if one.first <= _LOW >> 1]
        higher = [replace(one, first=max(one.first, _LOW + 1 >> 1)) for one in inner if one.last > _LOW >> 1]
        blocks = np.concatenate([self._block(lower, 0), self._block(higher, 0)])
        return Range(_LOWER | self._blocks.append(blocks), upper, upper, None)

    def _rewritten(self, at: Range, spans: Spans, depth: int) -> int:
        """Write cuts anew, together with those below and above as long as they are few."""
        before = list(islice(self._reader.flat(at), _TOGETHER + 1))
        if len(before) > _TOGETHER:
            before = [child for *_, child in self._reader.values(at)]
        after: list[Range] = []
        for child in before:
            inside = child.clipped(spans)
            if child.is_leaf and inside:
                after += self._cut(child, inside) or [child]
            else:
                after.append(replace(child, entry=self.remapped(child, spans, depth + 1)))
        return self._tree(_merged(after), depth)

    def _tree(self, parts: Sequence[Range], depth: int) -> int:
        """Write cuts for ascending ranges, with as few steps as possible; return an entry that leads there."""
        return parts[0].entry if len(parts) == 1 else self._blocks.append(self._block(parts, depth))

    def _block(self, parts: Sequence[Range], depth: int) -> Words:
        """Return the words of cuts for ascending ranges; write those below."""
        if depth >= Ipv6Entry.STEPS // 2:
            raise NeedsRebuildError("walks through IPv6 blocks would become too long")
        size = 1
        while size * _VALUES < len(parts):
            size *= _VALUES
        groups = [parts[at : at + size] for at in range(0, len(parts), size)]
        values = [self._tree(group, depth + 1) for group in groups]
        starts = [group[0].first for group in groups[1:]] or [parts[0].first]
        missing = _VALUES - len(groups)
        starts += starts[-1:] * (_VALUES - 1 - len(starts))
        cuts = abi.Cuts(tuple(starts), (*values, *values[-1:] * missing), Ipv6Kind.CUTS)
        return np.frombuffer(abi.encode(cuts), np.uint32)


def _merged(parts: Sequence[Range]) -> list[Range]:
    """Put neighbouring leaves of one class together."""
    merged = [parts[0]]
    for part in parts[1:]:
        if part.is_leaf and part.entry == merged[-1].entry:
            merged[-1] = replace(merged[-1], last=part.last)
        else:
            merged.append(part)
    return merged


def _cuts(spans: Spans, at: Range) -> bool:
    """Whether spans hold some of the addresses and not all."""
    return at.clipped(spans) not in ([], [(at.first_address, at.last_address)])
