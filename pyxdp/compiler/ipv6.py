"""The tree of blocks that IPv6 addresses walk (``enum pyxdp_ipv6_entry``), made from sorted pieces of all addresses.

Prefixes cluster: a table with a place for each of their bits would be empty almost everywhere, a balanced search tree
costs a cache miss a level. So each range of keys takes what fits what is in it:

* up to five pieces: one block of *cuts*, in one cache line;
* many, spread evenly: a *fan* of about as many entries as there are pieces, whatever their number;
* all in a small part of the range: cuts around that part, inside which a fan has something to tell apart;
* anything else: cuts into five parts with as many pieces each, which bounds the depth of any tree whatever the data.

Upper and lower halves of addresses are such trees of their own; where prefixes longer than /64 are, the tree of upper
halves leads to one of lower halves.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias

import numpy as np

from pyxdp.abi import Entry, Ipv6Entry, Limit
from pyxdp.errors import CapacityError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    U64: TypeAlias = NDArray[np.uint64]
    U32: TypeAlias = NDArray[np.uint32]
    U8: TypeAlias = NDArray[np.uint8]
    Indexes: TypeAlias = NDArray[np.int64]

KEY_BITS: Final = 64
LAST_KEY: Final = (1 << KEY_BITS) - 1

_ENTRIES: Final = int(Limit.BLOCK_ENTRIES)
_CUTS: Final = int(Limit.BLOCK_CUTS)
_WAYS: Final = _CUTS + 1
# Where struct pyxdp_cuts has the values, in units of 4 bytes, and how many bits are used up, in bytes.
_VALUES: Final = 2 * _CUTS
_USED: Final = 4 * (_VALUES + _WAYS)
_FAN_MIN: Final = int(Ipv6Entry.BITS_MIN)
_FAN_MAX: Final = 24
#: Pieces that two or three levels of cuts hold; no fan is better than two, only a well filled one than three.
_TWO_LEVELS: Final = _WAYS**2
_THREE_LEVELS: Final = _WAYS**3
#: A fan with so few entries for the number of pieces costs nothing, however few of them it tells apart.
_CHEAP: Final = 64
#: A range that is this many bits wider than the part of it that is cut is narrowed first.
_NARROW_BITS: Final = 3
#: Levels behind which nothing but cuts into equal parts is tried: 8M pieces are ten more. Both halves fit into STEPS.
_DEEP: Final = 11


class _Blocks:
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


@dataclass(frozen=True, slots=True)
class _Ranges:
    """Ranges of keys that a level has to resolve; all are arrays with one element a range.

    Attributes:
        at: first piece that reaches into the range.
        size: how many do; two at least.
        low: first key.
        high: last key.
        place: number of the word that the entry goes to; ``-1 - n`` is the root of tree n.
    """

    at: Indexes
    size: Indexes
    low: U64
    high: U64
    place: Indexes

    def take(self, which: NDArray[np.bool_]) -> _Ranges:
        return _Ranges(self.at[which], self.size[which], self.low[which], self.high[which], self.place[which])

    def __len__(self) -> int:
        return len(self.at)


class _Forest:
    """Trees over keys of 64 bits that share their pieces and blocks.

    Args:
        blocks: where trees are appended.
        starts: first key of each piece; ascending within each tree. That of a tree's first piece does not count.
        values: the entry that each piece stands for.
    """

    def __init__(self, blocks: _Blocks, starts: U64, values: U32) -> None:
        self._blocks = blocks
        self._starts = starts
        self._values = values
        self._roots: U32 = np.zeros(0, np.uint32)

    def plant(self, at: Indexes, size: Indexes) -> U32:
        """Build trees over all keys.

        Args:
            at: first piece of each tree.
            size: how many it has.

        Returns:
            The entry that leads to each tree.
        """
        self._roots = self._values[at]
        low = np.zeros(len(at), np.uint64)
        ranges = _Ranges(at, size, low, ~low, -1 - np.arange(len(at))).take(size > 1)
        level = 0
        while len(ranges):
            ranges = self._level(ranges) if level < _DEEP else self._cut_evenly(ranges)
            level += 1
        return self._roots

    def _level(self, ranges: _Ranges) -> _Ranges:
        """Write one level; return the ranges of the next one."""
        large = ranges.size > _TWO_LEVELS
        if not large.any():
            return self._cut_evenly(ranges)
        few, many = ranges.take(~large), ranges.take(large)
        bits = self._fan_bits(many)
        narrow = (bits == 0) & (many.size > _THREE_LEVELS) & (self._slack(many) >= _NARROW_BITS)
        rest = [
            self._cut_evenly(few),
            self._cut_around(many.take(narrow)),
            self._cut_evenly(many.take((bits == 0) & ~narrow)),
            self._fan_out(many.take(bits > 0), bits[bits > 0]),
        ]
        columns = zip(*((one.at, one.size, one.low, one.high, one.place) for one in rest), strict=True)
        return _Ranges(*(np.concatenate(column) for column in columns))

    def _slack(self, ranges: _Ranges) -> Indexes:
        """By how many bits each range is wider than the part of it that is cut."""
        inner = _bit_length(self._starts[ranges.at + 1] ^ self._starts[ranges.at + ranges.size - 1])
        return _bit_length(ranges.low ^ ranges.high) - inner

    def _fan_bits(self, ranges: _Ranges) -> Indexes:
        """How many bits a fan for each range should have; 0: none is of use.

        The largest fan of which half the entries tell something apart, or which is small for what it has to tell apart.
        """
        width = _bit_length(ranges.low ^ ranges.high)
        distinct = self._distinct_prefixes(ranges)
        best = np.zeros(len(ranges), np.int64)
        row = np.arange(len(ranges))
        slack = self._slack(ranges)
        for bits in range(_FAN_MIN, _FAN_MAX + 1):
            entries = 1 << bits
            used = distinct[row, np.maximum(width - bits, 0)]
            cheap = (entries * _CHEAP <= ranges.size) & (slack < _NARROW_BITS)
            good = (2 * used >= entries) | cheap | ((bits == _FAN_MIN) & (used >= _CUTS))
            best[good & (bits <= width)] = bits
        return best

    def _distinct_prefixes(self, ranges: _Ranges) -> Indexes:
        """For each range and n: into how many aligned parts of ``2**n`` keys its starts fall."""
        inner, owner, _ = _members(ranges.at + 2, ranges.size - 2)
        differing = _bit_length(self._starts[inner] ^ self._starts[inner - 1])
        columns = KEY_BITS + 1
        histogram = np.bincount(owner * columns + differing, minlength=len(ranges) * columns)
        at_most = np.cumsum(histogram.reshape(len(ranges), columns), axis=1)
        return at_most[:, -1:] - at_most + 1

    def _cut_evenly(self, ranges: _Ranges) -> _Ranges:
        """Cut ranges into at most five parts with as many pieces each."""
        ways = np.minimum(-(-ranges.size // _WAYS), _WAYS)
        ways = np.where(ranges.size <= _WAYS, ranges.size, ways)[:, None]
        way = np.minimum(np.arange(_WAYS + 1)[None, :], ways)
        edges = ranges.at[:, None] + way * ranges.size[:, None] // ways
        # The last part ends the block; unused places repeat it.
        first = np.minimum(edges[:, :-1], edges[np.arange(len(ranges)), ways[:, 0] - 1][:, None])
        size = (ranges.at + ranges.size)[:, None] - first
        size[:, :-1] = np.where(way[:, 1:-1] < ways, edges[:, 1:-1] - first[:, :-1], size[:, :-1])
        return self._cut(ranges, self._starts[first[:, 1:]], first, size)

    def _cut_around(self, ranges: _Ranges) -> _Ranges:
        """Cut ranges where the smallest aligned part begins and ends that all their starts are in."""
        first, last = self._starts[ranges.at + 1], self._starts[ranges.at + ranges.size - 1]
        mask = _mask(_bit_length(first ^ last))
        low, high = first & ~mask, first | mask
        before, behind = low > ranges.low, high < ranges.high
        starts_there = (first == low) & before
        end = ranges.at + ranges.size - 1
        inner = ranges.at + starts_there
        inner_size = ranges.size - starts_there
        # before | part | behind, without those of the three that are empty
        starts = np.where(before, low, high + np.uint64(1))[:, None].repeat(_CUTS, axis=1)
        starts[:, 1:] = np.where(behind, high + np.uint64(1), low)[:, None]
        at = end[:, None].repeat(_WAYS, axis=1)
        size = np.ones_like(at)
        at[:, 0], size[:, 0] = np.where(before, ranges.at, inner), np.where(before, 1, inner_size)
        middle = np.where(before, inner, end), np.where(before, inner_size, 1)
        at[:, 1], size[:, 1] = middle
        only_before = before & ~behind
        for place in range(2, _WAYS):
            at[only_before, place], size[only_before, place] = middle[0][only_before], middle[1][only_before]
        return self._cut(ranges, starts, at, size)

    def _cut(self, ranges: _Ranges, starts: U64, at: Indexes, size: Indexes) -> _Ranges:
        """Write a block of cuts for each range; return the parts that more than one piece reaches into.

        Args:
            ranges: which are cut.
            starts: where, four each.
            at: first piece of each of the five parts.
            size: how many reach into it.
        """
        count = len(ranges)
        block = self._blocks.add(count)
        numbers = block + np.arange(count)
        self._point(ranges.place, numbers)
        low = np.concatenate([ranges.low[:, None], starts], axis=1)
        high = np.concatenate([starts - np.uint64(1), ranges.high[:, None]], axis=1)
        used = (KEY_BITS - _bit_length(low ^ high)).astype(np.uint8)
        words = self._blocks.words[block:]
        words.view(np.uint64)[:, :_CUTS] = starts
        words[:, _VALUES : _VALUES + _WAYS] = np.where(size > 1, 0, self._values[at])
        words.view(np.uint8)[:, _USED : _USED + _WAYS] = used
        repeats = np.zeros((count, _WAYS), np.bool_)
        repeats[:, 1:-1] = starts[:, 1:] == starts[:, :-1]
        open_ = (size > 1) & ~repeats
        place = (numbers * _ENTRIES + _VALUES)[:, None] + np.arange(_WAYS)[None, :]
        return _Ranges(at[open_], size[open_], low[open_], high[open_], place[open_])

    def _fan_out(self, ranges: _Ranges, bits: Indexes) -> _Ranges:
        """Write a fan for each range; return the entries that more than one piece reaches into, as ranges."""
        blocks = (1 << bits) // _ENTRIES
        before = np.cumsum(blocks) - blocks
        block = self._blocks.add(int(blocks.sum()))
        self._point(ranges.place, block + before | bits << int(Ipv6Entry.BITS_SHIFT))
        width = _bit_length(ranges.low ^ ranges.high)
        rest = width - bits
        base = ranges.low & ~_mask(width)
        piece, owner, leads = _members(ranges.at, ranges.size)
        offset = np.where(leads, np.uint64(0), self._starts[piece] - base[owner])
        child_mask = _mask(rest)[owner]
        bucket = (offset >> rest[owner].astype(np.uint64)).astype(np.int64)
        inside = (offset & child_mask) != 0
        entry = bucket + inside + (before * _ENTRIES)[owner]
        total = int(blocks.sum()) * _ENTRIES
        words = self._blocks.words[block:].reshape(-1)
        words[:] = np.repeat(self._values[piece], np.diff(entry, append=total))
        chosen = np.flatnonzero(inside)
        where = bucket[chosen] + (before * _ENTRIES)[owner[chosen]]
        new = np.flatnonzero(np.diff(where, prepend=-1))
        size = np.diff(new, append=len(chosen)) + 1
        head = chosen[new]
        low = base[owner[head]] + (offset[head] & ~child_mask[head])
        return _Ranges(piece[head] - 1, size, low, low | child_mask[head], where[new] + block * _ENTRIES)

    def _point(self, places: Indexes, entries: Indexes) -> None:
        roots = places < 0
        self._roots[-1 - places[roots]] = entries[roots]
        self._blocks.words.reshape(-1)[places[~roots]] = entries[~roots]


def _bit_length(numbers: U64) -> Indexes:
    """Return what ``int.bit_length`` is of each; a float has room for half of the bits."""
    upper = (numbers >> np.uint64(32)).astype(np.float64)
    lower = (numbers & np.uint64(0xFFFFFFFF)).astype(np.float64)
    bits: Indexes = np.where(upper > 0, np.frexp(upper)[1] + 32, np.frexp(lower)[1]).astype(np.int64)
    return bits


def _mask(bits: Indexes) -> U64:
    """Return numbers with so many lower bits set, 0 to 64."""
    half = (bits // 2).astype(np.uint64)
    mask: U64 = ~(np.uint64(LAST_KEY) << half << (bits.astype(np.uint64) - half))
    return mask


def _members(at: Indexes, size: Indexes) -> tuple[Indexes, Indexes, NDArray[np.bool_]]:
    """List ``at .. at + size - 1`` of each range, one range after the other.

    Returns:
        All pieces, the number of the range of each, and whether it is the first one there.
    """
    ends = np.cumsum(size)
    owner = np.repeat(np.arange(len(at)), size)
    number = np.arange(int(ends[-1]) if len(ends) else 0)
    within = number - (ends - size)[owner]
    return at[owner] + within, owner, within == 0


def ipv6_blocks(high: U64, low: U64, classes: U32) -> U32:
    """Build the table of a slot.

    Args:
        high: upper half of the first address of each piece, from ``::`` upwards.
        low: lower half.
        classes: of the piece.

    Returns:
        The blocks, one row of sixteen 32-bit words each.

    Raises:
        CapacityError: more blocks than entries can name.
    """
    blocks = _Blocks()
    root = blocks.add(1)
    starts, values = _upper_halves(blocks, high, low, classes | np.uint32(Entry.LEAF))
    whole = np.array([0]), np.array([len(starts)])
    blocks.words[root, 0] = _Forest(blocks, starts, values).plant(*whole)[0]
    return blocks.words


def _upper_halves(blocks: _Blocks, high: U64, low: U64, values: U32) -> tuple[U64, U32]:
    """Return the pieces of upper halves, after the trees of the lower halves that some of them lead to."""
    group = np.flatnonzero(np.diff(high, prepend=~high[:1]))
    size = np.diff(group, append=len(high))
    upper = high[group]
    begun_before = low[group] != 0
    is_cut = (size > 1) | begun_before
    first = group - begun_before
    entries = values[group]
    planted = _Forest(blocks, low, values).plant(first[is_cut], (group + size - first)[is_cut])
    entries[is_cut] = planted | np.uint32(Ipv6Entry.LOWER)
    # Behind an upper half that is cut, its last piece goes on, unless another one begins there or nothing is there.
    following = np.append(upper[1:], np.uint64(0))
    goes_on = is_cut & (upper + np.uint64(1) != following)
    starts, merged = np.repeat(upper, 1 + goes_on), np.repeat(entries, 1 + goes_on)
    behind = (np.arange(len(upper)) + np.cumsum(goes_on))[goes_on]
    starts[behind] += np.uint64(1)
    merged[behind] = values[(group + size - 1)[goes_on]]
    return starts, merged
