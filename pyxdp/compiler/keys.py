"""Ranges of 64-bit keys and their equal parts, many at a time: what is in each."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Final, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    U64: TypeAlias = NDArray[np.uint64]
    U32: TypeAlias = NDArray[np.uint32]
    Indexes: TypeAlias = NDArray[np.int64]

_ONES: Final = np.uint64((1 << 64) - 1)


@dataclass(frozen=True, slots=True)
class Ranges:
    """Ranges of keys that a level has to resolve; all are arrays with one element a range.

    Attributes:
        at: first piece that reaches into the range.
        size: how many do; two at least.
        low: first key.
        high: last key.
        place: number of the word that the entry goes to, if it leads to a block that is not there yet.
        block: number of the block that is there for the range; -1: none is.
    """

    at: Indexes
    size: Indexes
    low: U64
    high: U64
    place: Indexes
    block: Indexes

    def __len__(self) -> int:
        return len(self.at)

    @property
    def end(self) -> Indexes:
        """The piece behind the last one."""
        return self.at + self.size

    @property
    def width(self) -> Indexes:
        """Bits that are not the same in all keys."""
        return bit_length(self.low ^ self.high)

    def take(self, which: NDArray[np.bool_]) -> Ranges:
        """Return some of them."""
        return Ranges(*(getattr(self, one.name)[which] for one in fields(self)))

    @classmethod
    def joined(cls, parts: list[Ranges]) -> Ranges:
        """Return all ranges of all parts."""
        return cls(*(np.concatenate([getattr(part, one.name) for part in parts]) for one in fields(cls)))


class Parts:
    """The equal parts of ranges, all in one line, and which pieces are in which.

    Attributes:
        count: how many parts there are in all.
        before: number of the first part of each range.
        rest: bits of the key that are the same for no part of a range.
        owner: number of the range of each piece in it.
        first_cut: which of these are the first in their part, of those that do not begin with one.
        cut: number of the part of each of them.
    """

    def __init__(self, ranges: Ranges, bits: Indexes, starts: U64) -> None:
        width = ranges.width
        self._bits = bits
        self.rest = width - bits
        self.before = np.cumsum(1 << bits) - (1 << bits)
        self.count = int((1 << bits).sum())
        self._base = ranges.low & ~mask(width)
        self._piece, self.owner, leads = members(ranges.at, ranges.size)
        self._mask = mask(self.rest)[self.owner]
        self._offset = np.where(leads, np.uint64(0), starts[self._piece] - self._base[self.owner])
        part = (self._offset >> self.rest[self.owner].astype(np.uint64)).astype(np.int64) + self.before[self.owner]
        inside = (self._offset & self._mask) != 0
        self._first = part + inside
        inner = np.flatnonzero(inside)
        heads = np.flatnonzero(np.diff(part[inner], prepend=-1))
        self.first_cut = inner[heads]
        self.cut = part[self.first_cut]
        self._cut_size = np.diff(heads, append=len(inner)) + 1

    @property
    def range_of_part(self) -> Indexes:
        """Number of the range of each part."""
        return np.repeat(np.arange(len(self._bits)), 1 << self._bits)

    def low(self) -> U64:
        """First key of each part."""
        of = self.range_of_part
        within = (np.arange(self.count) - self.before[of]).astype(np.uint64)
        low: U64 = self._base[of] + (within << self.rest[of].astype(np.uint64))
        return low

    def last(self) -> U64:
        """Last key of each part."""
        last: U64 = self.low() | mask(self.rest)[self.range_of_part]
        return last

    def begin(self) -> Indexes:
        """The piece that each part begins with."""
        return np.repeat(self._piece, np.diff(self._first, append=self.count))

    def inner(self, place: Indexes, block: Indexes) -> Ranges:
        """Return the parts that are cut, as ranges."""
        of = self.first_cut
        low = self._base[self.owner[of]] + (self._offset[of] & ~self._mask[of])
        return Ranges(self._piece[of] - 1, self._cut_size, low, low | self._mask[of], place, block)


def bit_length(numbers: U64) -> Indexes:
    """Return what ``int.bit_length`` is of each; a float has room for half of the bits."""
    upper = (numbers >> np.uint64(32)).astype(np.float64)
    lower = (numbers & np.uint64(0xFFFFFFFF)).astype(np.float64)
    bits: Indexes = np.where(upper > 0, np.frexp(upper)[1] + 32, np.frexp(lower)[1]).astype(np.int64)
    return bits


def mask(bits: Indexes) -> U64:
    """Return numbers with so many lower bits set, 0 to 64."""
    half = (bits // 2).astype(np.uint64)
    mask: U64 = ~(_ONES << half << (bits.astype(np.uint64) - half))
    return mask


def members(at: Indexes, size: Indexes) -> tuple[Indexes, Indexes, NDArray[np.bool_]]:
    """List ``at .. at + size - 1`` of each range, one range after the other.

    Returns:
        All pieces, the number of the range of each, and whether it is the first one there.
    """
    ends = np.cumsum(size)
    owner = np.repeat(np.arange(len(at)), size)
    number = np.arange(int(ends[-1]) if len(ends) else 0)
    within = number - (ends - size)[owner]
    return at[owner] + within, owner, within == 0
