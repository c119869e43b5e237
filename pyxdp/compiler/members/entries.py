"""What the blocks of IPv6 addresses stand for: entries, and the addresses of each."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass, replace
from operator import itemgetter
from typing import TYPE_CHECKING, Final

import numpy as np

from pyxdp import abi
from pyxdp.abi import Entry, Ipv6Entry, Ipv6Kind, Limit
from pyxdp.compiler.members.pieces import without

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyxdp.compiler.members.growing import GrowingTable
    from pyxdp.compiler.members.pieces import Spans

_LEAF: Final = int(Entry.LEAF)
_LOWER: Final = int(Ipv6Entry.LOWER)
_HOST: Final = int(Ipv6Entry.HOST)
_VALUES: Final = int(Limit.BLOCK_CUTS) + 1
_FAN: Final = int(Limit.BLOCK_ENTRIES)
_RANGES: Final = int(Limit.BLOCK_RANGES)
_HALF: Final = 64
_LOW: Final = (1 << _HALF) - 1
# Where the entries are in the words of blocks.
_FIRST_VALUE, _BEFORE, _BEHIND, _RANGE_VALUE, _BESIDE = (
    int(np.flatnonzero(np.frombuffer(abi.encode(one), np.uint32))[0])
    for one in (
        abi.Cuts((0,) * (_VALUES - 1), (1,) * _VALUES, 0),
        abi.Parts(0, 0, 0, 1, 0, 0),
        abi.Parts(0, 0, 0, 0, 1, 0),
        abi.Ranges((0,) * _RANGES, (0,) * _RANGES, (1,) * _RANGES, 0),
        abi.Ranges((0,) * _RANGES, (0,) * _RANGES, (0,) * _RANGES, 1),
    )
)


@dataclass(frozen=True, slots=True)
class Range:
    """What an entry stands for: keys from ``first`` to ``last``, of one half of addresses.

    Attributes:
        entry: the entry.
        upper: ``None`` while the key is the upper half; else the upper half, and the key is the lower one.
    """

    entry: int
    first: int
    last: int
    upper: int | None

    @property
    def first_address(self) -> int:
        """The first address, as a number."""
        return self.first << _HALF if self.upper is None else self.upper << _HALF | self.first

    @property
    def last_address(self) -> int:
        """The last address, as a number."""
        return self.last << _HALF | _LOW if self.upper is None else self.upper << _HALF | self.last

    @property
    def is_leaf(self) -> bool:
        """Whether the entry is a class."""
        return bool(self.entry & _LEAF)

    @property
    def block(self) -> int:
        """The block that the entry leads to, if it is no class."""
        return self.entry & Ipv6Entry.BLOCK_MASK

    def inside(self, first: int, last: int) -> tuple[int, int]:
        """Return the first and last key of a range of addresses that is within this one."""
        return (first >> _HALF, last >> _HALF) if self.upper is None else (first & _LOW, last & _LOW)

    def clipped(self, spans: Spans) -> Spans:
        """Cut ascending spans to the addresses here."""
        first, last = self.first_address, self.last_address
        begin = bisect_left(spans, first, key=itemgetter(1))
        end = bisect_right(spans, last, key=itemgetter(0))
        return [(max(low, first), min(high, last)) for low, high in spans[begin:end]]


@dataclass(frozen=True, slots=True)
class BlockEntry:
    """An entry in a block.

    Attributes:
        depth: blocks on the way to what it stands for, with this key.
        block: where it is.
        word: the same.
        range: what it stands for.
        spans: what changes.
        flag: set in the block, not in the range.
    """

    depth: int
    block: int
    word: int
    range: Range
    spans: Spans
    flag: int = 0


class BlockReader:
    """Reads the blocks of a slot."""

    def __init__(self, blocks: GrowingTable) -> None:
        self._blocks = blocks

    def is_cuts(self, at: Range) -> bool:
        """Whether a range leads to cuts of the same key."""
        return not at.entry & (_LEAF | _LOWER) and self._kind(at.block) == Ipv6Kind.CUTS

    def _kind(self, block: int) -> int:
        return abi.decode(abi.Cuts, self._blocks.element(block).tobytes()).kind

    def entries(self, at: Range, spans: Spans, depth: int) -> Iterator[BlockEntry]:
        """Yield the entries behind a block that spans concern.

        Where there is a block for each of some parts, these are the entries of those blocks.
        """
        depth, spans = depth + 1, at.clipped(spans)
        if self._kind(at.block) == Ipv6Kind.CUTS:
            for number, word, child in self.values(at):
                yield BlockEntry(depth, number, word, child, spans)
            return
        parts = abi.decode(abi.Parts, self._blocks.element(at.block).tobytes())
        kind, shift = parts.kind & ~Ipv6Kind.SHIFT_MASK, parts.kind & Ipv6Kind.SHIFT_MASK
        last = parts.first + parts.span
        if at.first < parts.first:
            yield BlockEntry(depth, at.block, _BEFORE, replace(at, entry=parts.before, last=parts.first - 1), spans)
        if last < at.last:
            yield BlockEntry(depth, at.block, _BEHIND, replace(at, entry=parts.behind, first=last + 1), spans)
        for place in _places(parts, shift, at, spans):
            start = parts.first + (place << shift)
            ends = max(start, at.first), min(start + (1 << shift) - 1, at.last)
            if kind == Ipv6Kind.BLOCKS:
                yield from self.entries(Range(parts.block + place, *ends, at.upper), spans, depth)
            elif kind == Ipv6Kind.RANGES:
                yield from self._ranges(Range(parts.block + place, *ends, at.upper), spans, depth)
            else:
                number, word = parts.block + place // _FAN, place % _FAN
                child = Range(int(self._blocks.element(number)[word]), *ends, at.upper)
                yield BlockEntry(depth, number, word, child, spans)

    def _ranges(self, at: Range, spans: Spans, depth: int) -> Iterator[BlockEntry]:
        """Yield the entries of a block of ranges; what these hold is no matter of the entry for what is beside them."""
        ranges = abi.decode(abi.Ranges, self._blocks.element(at.block).tobytes())
        held: Spans = []
        for place in reversed(range(_RANGES)):
            first, span, entry = ranges.first[place], ranges.span[place], ranges.value[place]
            last = first if entry & _HOST else first + span
            if last < at.first or first > at.last:
                continue
            child = Range(entry & ~_HOST, max(first, at.first), min(last, at.last), at.upper)
            if entry & _HOST:
                child = Range(entry & ~_HOST, span, span, first)
            held.append((child.first_address, child.last_address))
            if changing := child.clipped(spans):
                yield BlockEntry(depth, at.block, _RANGE_VALUE + place, child, changing, entry & _HOST)
        if changing := without(at.clipped(spans), held):
            beside, whole = replace(at, entry=ranges.beside), [(at.first_address, at.last_address)]
            # A single entry; blocks may say of what is held what was true before.
            changing = whole if beside.is_leaf and changing == without(whole, held) else changing
            yield BlockEntry(depth, at.block, _BESIDE, beside, changing)

    def values(self, at: Range) -> Iterator[tuple[int, int, Range]]:
        """Yield block, word and range of the values of cuts that some key has."""
        cuts = abi.decode(abi.Cuts, self._blocks.element(at.block).tobytes())
        starts = [at.first, *cuts.start, at.last + 1]
        for place, entry in enumerate(cuts.value):
            first, last = starts[place], min(starts[place + 1] - 1, at.last)
            if first <= last:
                yield at.block, _FIRST_VALUE + place, Range(entry, first, last, at.upper)

    def flat(self, at: Range) -> Iterator[Range]:
        """Yield the values of cuts, and of cuts that these lead to."""
        for *_, child in self.values(at):
            if self.is_cuts(child):
                yield from self.flat(child)
            else:
                yield child


def _places(parts: abi.Parts, shift: int, at: Range, spans: Spans) -> Iterator[int]:
    """Yield the numbers of the parts of a range that spans concern."""
    behind = 0
    for low, high in spans:
        first, last = at.inside(low, high)
        first, last = max(first - parts.first, 0), min(last - parts.first, parts.span)
        yield from range(max(first >> shift, behind), (last >> shift) + 1)
        behind = (last >> shift) + 1
