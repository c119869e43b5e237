"""Trees of blocks over 64-bit keys (``enum pyxdp_ipv6_entry``), many at a time.

Prefixes cluster: a table with a place for each of their bits would be empty almost everywhere, a balanced search tree
costs a cache miss a level. So each range of keys takes what fits what is in it:

* up to five pieces: one block of *cuts*, in one cache line;
* many, spread evenly over the range or over a part of it: equal parts of that part, about as many as there are pieces,
  whatever their number. For each a block of up to three *ranges* beside which it has one class, single addresses
  included; or a block of any kind again, if that is too little for many of them; or a *fan* of entries, if most of the
  parts are of one class;
* anything else: cuts into five parts with as many pieces each, which bounds the depth of any tree whatever the data.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

import numpy as np

from pyxdp.abi import Ipv6Entry, Ipv6Kind, Limit
from pyxdp.compiler.fitting import Fitting, entry_place, write_empty
from pyxdp.compiler.keys import Parts, Ranges, bit_length, mask, members
from pyxdp.errors import CapacityError

if TYPE_CHECKING:
    from pyxdp.compiler.fitting import Hosts
    from pyxdp.compiler.keys import U32, U64, Indexes

_KEY_BITS: Final = 64
_ENTRIES: Final = int(Limit.BLOCK_ENTRIES)
_CUTS: Final = int(Limit.BLOCK_CUTS)
_WAYS: Final = _CUTS + 1
# Where struct pyxdp_cuts and struct pyxdp_parts have their members, in units of 4 bytes; a key is two of them.
_VALUES: Final = 2 * _CUTS
_FIRST: Final = 0
_SPAN: Final = 2
_BLOCK: Final = 4
_BEFORE: Final = 5
_BEHIND: Final = 6
_KIND: Final = _ENTRIES - 1
_BITS_MIN: Final = 4
_BITS_MAX: Final = 22
#: Pieces that two levels of cuts hold; equal parts are no better than that.
_TWO_LEVELS: Final = _WAYS**2
#: So few parts for the number of pieces cost nothing, however few of them are told apart: one for so many pieces.
_CHEAP: Final = 32
#: What is left out of the part where most is cut: one piece of so many at either end.
_OUTLIERS: Final = 16
#: Of the parts of a range, in per cent: if so many are cut, each has a block of its own.
_BLOCKS_SHARE: Final = 40
#: Levels behind which nothing but cuts into equal parts is tried: 8M pieces are ten more. Both halves fit into STEPS.
_DEEP: Final = 11
#: Of the parts that are cut, in per cent: if ranges are enough for so many, all are tried as such.
_RANGES_SHARE: Final = 50


class Blocks:
    """Blocks that grow at the end."""

    def __init__(self) -> None:
        self._count = 0
        self._words: U32 = np.zeros((1024, _ENTRIES), np.uint32)

    @property
    def words(self) -> U32:
        """All of them: one row of sixteen 32-bit words each."""
        return self._words[: self._count]

    def add(self, count: int) -> int:
        """Append zeroed blocks; return the number of the first one.

        Raises:
            CapacityError: more than entries can name.
        """
        first, self._count = self._count, self._count + count
        limit = int(Ipv6Entry.BLOCK_MASK) + 1
        if self._count > limit:
            raise CapacityError("blocks for IPv6 prefixes", needed=self._count, limit=limit)
        if self._count > len(self._words):
            grown = np.zeros((max(self._count, 2 * len(self._words)), _ENTRIES), np.uint32)
            grown[:first] = self._words[:first]
            self._words = grown
        return first


class Forest:
    """Trees that share their pieces and blocks.

    Args:
        blocks: where trees are appended.
        starts: first key of each piece; ascending within each tree. That of a tree's first piece does not count.
        values: the entry that each piece stands for; of hosts, that of all other addresses.
        hosts: single addresses; ``None``: there are none.
    """

    def __init__(self, blocks: Blocks, starts: U64, values: U32, hosts: Hosts | None = None) -> None:
        self._blocks = blocks
        self._starts = starts
        self._values = values
        self._hosts = hosts
        self._entries = values.copy() if hosts else values
        self._unplanted = hosts.is_host.copy() if hosts else None

    def plant(self, at: Indexes, size: Indexes, spare: int = 0) -> Indexes:
        """Build trees over all keys.

        Args:
            at: first piece of each tree.
            size: how many it has.
            spare: so many blocks may be spent on first steps that need not be so short.

        Returns:
            The number of the first of the two blocks that each tree begins with, one for each top bit of the key.
        """
        none = np.zeros(len(at), np.uint64)
        whole = Ranges(at, size, none, ~none, np.zeros(len(at), np.int64), np.full(len(at), -1))
        first, ranges = self._blocks_each(Parts(whole, np.ones(len(at), np.int64), self._starts))
        level = 0
        while len(ranges):
            ranges = self._level(ranges, spare) if level < _DEEP else self._cut_evenly(ranges)
            level, spare = level + 1, 0
        return first

    def _level(self, ranges: Ranges, spare: int) -> Ranges:
        """Write one level; return the ranges of the next one."""
        large = ranges.size > (_WAYS if spare else _TWO_LEVELS)
        if not large.any():
            return self._cut_evenly(ranges)
        few, many = ranges.take(~large), ranges.take(large)
        key, width = self._core(many)
        bits = self._best_bits(many, width, spare)
        parted = bits > 0
        inner = mask(width)
        window = (key & ~inner)[parted], (key | inner)[parted]
        rest = Ranges.joined([few, many.take(~parted)])
        return Ranges.joined([self._cut_evenly(rest), self._part(many.take(parted), *window, bits[parted], spare)])

    def _core(self, ranges: Ranges) -> tuple[U64, Indexes]:
        """Return the smallest aligned part of each range that most starts are in: one of its keys, and its width."""
        margin = ranges.size // _OUTLIERS
        first, last = self._starts[ranges.at + 1 + margin], self._starts[ranges.end - 1 - margin]
        return first, bit_length(first ^ last)

    def _best_bits(self, ranges: Ranges, width: Indexes, spare: int) -> Indexes:
        """Return of how many bits the equal parts of a part of each range should be told apart; 0: they are of no use.

        As many as possible while something begins in half of the parts, or while they are few for what is in the range.

        Args:
            ranges: the ranges.
            width: bits that are not the same in all keys of the part.
            spare: so many parts are always few.
        """
        distinct = self._distinct_prefixes(ranges)
        best = np.zeros(len(ranges), np.int64)
        row = np.arange(len(ranges))
        for bits in range(_BITS_MIN, _BITS_MAX + 1):
            parts = 1 << bits
            used = distinct[row, np.maximum(width - bits, 0)]
            cheap = parts * _CHEAP <= np.maximum(ranges.size, spare * _CHEAP)
            good = (2 * used >= parts) | cheap | ((bits == _BITS_MIN) & (used >= _CUTS))
            best[good & (bits <= width)] = bits
        return best

    def _distinct_prefixes(self, ranges: Ranges) -> Indexes:
        """Return for each range and n into how many aligned parts of ``2**n`` keys its starts fall."""
        inner, owner, _ = members(ranges.at + 2, ranges.size - 2)
        differing = bit_length(self._starts[inner] ^ self._starts[inner - 1])
        columns = _KEY_BITS + 1
        histogram = np.bincount(owner * columns + differing, minlength=len(ranges) * columns)
        at_most = np.cumsum(histogram.reshape(len(ranges), columns), axis=1)
        found: Indexes = at_most[:, -1:] - at_most + 1
        return found

    def _cut_evenly(self, ranges: Ranges) -> Ranges:
        """Cut ranges into at most five parts with as many pieces each."""
        ways = np.minimum(-(-ranges.size // _WAYS), _WAYS)
        ways = np.where(ranges.size <= _WAYS, ranges.size, ways)[:, None]
        way = np.minimum(np.arange(_WAYS + 1)[None, :], ways)
        edges = ranges.at[:, None] + way * ranges.size[:, None] // ways
        # The last part ends the block; unused places repeat it.
        first = np.minimum(edges[:, :-1], edges[np.arange(len(ranges)), ways[:, 0] - 1][:, None])
        size = ranges.end[:, None] - first
        size[:, :-1] = np.where(way[:, 1:-1] < ways, edges[:, 1:-1] - first[:, :-1], size[:, :-1])
        return self._cut(ranges, self._starts[first[:, 1:]], first, size)

    def _reaching(self, ranges: Ranges, keys: U64) -> tuple[Indexes, Indexes]:
        """Return the piece of each range that a key is in, and the first one that begins at or behind it."""
        low, high = ranges.at + 1, ranges.end
        while (searching := low < high).any():
            middle = (low + high) // 2
            before = searching & (self._starts[np.minimum(middle, len(self._starts) - 1)] < keys)
            low, high = np.where(before, middle + 1, low), np.where(searching & ~before, middle, high)
        begins = (low < ranges.end) & (self._starts[np.minimum(low, len(self._starts) - 1)] == keys)
        return np.where(begins, low, low - 1), low

    def _cut(self, ranges: Ranges, starts: U64, at: Indexes, size: Indexes) -> Ranges:
        """Write a block of cuts for each range; return the parts that more than one piece reaches into.

        Args:
            ranges: which are cut.
            starts: where, four each.
            at: first piece of each of the five parts.
            size: how many reach into it.
        """
        numbers = self._blocks_of(ranges)
        words = self._blocks.words
        low = np.concatenate([ranges.low[:, None], starts], axis=1)
        high = np.concatenate([starts - np.uint64(1), ranges.high[:, None]], axis=1)
        words.view(np.uint64)[numbers, :_CUTS] = starts
        ends = size == 1
        words[numbers, _VALUES : _VALUES + _WAYS] = 0
        entries = self._entries_of(at[ends])
        row, place = np.nonzero(ends)
        self._blocks.words[numbers[row], _VALUES + place] = entries
        repeats = np.zeros(at.shape, np.bool_)
        repeats[:, 1:-1] = starts[:, 1:] == starts[:, :-1]
        cut = (size > 1) & ~repeats
        place = (numbers * _ENTRIES + _VALUES)[:, None] + np.arange(_WAYS)[None, :]
        return Ranges(at[cut], size[cut], low[cut], high[cut], place[cut], np.full(int(cut.sum()), -1))

    def _blocks_of(self, ranges: Ranges) -> Indexes:
        """Return the number of the block of each range; where there was none, the entry leads to a new one now."""
        new = ranges.block < 0
        count = int(new.sum())
        numbers: Indexes = ranges.block.copy()
        numbers[new] = self._blocks.add(count) + np.arange(count)
        self._blocks.words.reshape(-1)[ranges.place[new]] = numbers[new]
        return numbers

    def _part(self, ranges: Ranges, first: U64, last: U64, bits: Indexes, spare: int) -> Ranges:
        """Tell equal parts of a part of ranges apart by so many bits of the key.

        Args:
            ranges: the ranges.
            first: key where the part of each begins; so many lower bits of it are 0 as the part has.
            last: its last key.
            bits: how many.
            spare: for so many parts there may always be blocks.
        """
        numbers = self._blocks_of(ranges)
        begin, before = self._reaching(ranges, first)
        end, behind = self._reaching(ranges, last + np.uint64(1))
        is_begin, is_end = first <= ranges.low, last >= ranges.high
        begin[is_begin] = before[is_begin] = ranges.at[is_begin]
        end[is_end] = behind[is_end] = ranges.end[is_end]
        window = Ranges(begin, behind - begin, first, last, ranges.place, numbers)
        found = [self._parts_of(window, bits, spare)]
        nowhere = np.full(len(ranges), -1)
        for word, outside in (
            (_BEFORE, Ranges(ranges.at, before - ranges.at, ranges.low, first - np.uint64(1), numbers, nowhere)),
            (_BEHIND, Ranges(end, ranges.end - end, last + np.uint64(1), ranges.high, numbers, nowhere)),
        ):
            one = outside.size == 1
            entries = self._entries_of(outside.at[one])
            self._blocks.words[numbers[one], word] = entries
            several = outside.take(outside.size > 1)
            found.append(replace(several, place=several.place * _ENTRIES + word))
        return Ranges.joined(found)

    def _parts_of(self, windows: Ranges, bits: Indexes, spare: int) -> Ranges:
        """Write the parts of windows, and into the block of each window where they are; return those that are cut."""
        parts = Parts(windows, bits, self._starts)
        owner = parts.owner[parts.first_cut]
        cut = np.bincount(owner, minlength=len(windows))
        fits = Fitting(parts.inner(parts.cut, parts.cut), self._starts, self._values, self._hosts).fits
        fitting = np.bincount(owner[fits], minlength=len(windows))
        cheap = np.maximum(windows.size, spare * _CHEAP) >= _CHEAP << bits
        each = (cut * 100 >= (_BLOCKS_SHARE << bits)) | cheap
        small = each & (fitting * 100 >= cut * _RANGES_SHARE)
        found: list[Ranges] = []
        for write, kind, which in (
            (self._blocks_each, Ipv6Kind.BLOCKS, each & ~small),
            (self._ranges_each, Ipv6Kind.RANGES, small),
            (self._fan, Ipv6Kind.FAN, ~each),
        ):
            some = windows.take(which)
            block, inner = write(Parts(some, bits[which], self._starts))
            words = self._blocks.words
            words[some.block] = 0
            words.view(np.uint64)[some.block, _FIRST // 2] = some.low
            words.view(np.uint64)[some.block, _SPAN // 2] = some.high - some.low
            words[some.block, _BLOCK] = block
            words[some.block, _KIND] = kind | some.width - bits[which]
            found.append(inner)
        return Ranges.joined(found)

    def _blocks_each(self, parts: Parts) -> tuple[Indexes, Ranges]:
        """Write a block for each part; return the first of each range, and those parts that are cut."""
        block = self._blocks.add(parts.count)
        entries = self._spread(parts)
        words = self._blocks.words[block : block + parts.count]
        words.view(np.uint64)[:, :_CUTS] = parts.low()[:, None]
        words[:, _VALUES : _VALUES + _WAYS] = entries[:, None]
        number = block + parts.cut
        return block + parts.before, parts.inner(number, number)

    def _ranges_each(self, parts: Parts) -> tuple[Indexes, Ranges]:
        """Write a block of ranges for each part; return the first of each range, and what is too much for that."""
        block = self._blocks.add(parts.count)
        entries = self._spread(parts)
        write_empty(self._blocks.words[block : block + parts.count], parts.last(), entries)
        number = block + parts.cut
        inner = parts.inner(entry_place(number), np.full(len(number), -1))
        fitting = Fitting(inner, self._starts, self._values, self._hosts)
        fitting.write(self._blocks.words, number)
        return block + parts.before, inner.take(~fitting.fits)

    def _fan(self, parts: Parts) -> tuple[Indexes, Ranges]:
        """Write an entry for each part; return the first block of each range, and those parts that are cut."""
        block = self._blocks.add(parts.count // _ENTRIES)
        entries = self._spread(parts)
        self._blocks.words[block : block + parts.count // _ENTRIES].reshape(-1)[:] = entries
        nowhere = np.full(len(parts.cut), -1)
        return block + parts.before // _ENTRIES, parts.inner(block * _ENTRIES + parts.cut, nowhere)

    def _spread(self, parts: Parts) -> U32:
        """The entry of the piece that each part begins with; 0 where that is not all of the part."""
        entries = np.zeros(parts.count, np.uint32)
        whole = np.ones(parts.count, np.bool_)
        whole[parts.cut] = False
        entries[whole] = self._entries_of(parts.begin()[whole])
        return entries

    def _entries_of(self, pieces: Indexes) -> U32:
        """The entries of pieces; trees that some lead to are planted now."""
        if self._hosts is not None and self._unplanted is not None:
            new = np.unique(pieces[self._unplanted[pieces]])
            if len(new):
                self._unplanted[new] = False
                self._entries[new] = self._hosts.plant(new)
        entries: U32 = self._entries[pieces]
        return entries
