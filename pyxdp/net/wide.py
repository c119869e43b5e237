"""IPv6 prefixes as three arrays side by side, since numpy has no numbers of 136 bits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

_LOW: Final = (1 << 64) - 1


class Wide(NamedTuple):
    """IPv6 prefixes, one at each index.

    Attributes:
        high: bits 127 to 64 of their addresses.
        low: bits 63 to 0.
        length: their lengths.
    """

    high: NDArray[np.uint64]
    low: NDArray[np.uint64]
    length: NDArray[np.uint8]

    @classmethod
    def of(cls, prefixes: Sequence[tuple[int, int]]) -> Wide:
        """Return arrays of (address, length), in their order."""
        return cls(
            np.array([number >> 64 for number, _ in prefixes], np.uint64),
            np.array([number & _LOW for number, _ in prefixes], np.uint64),
            np.array([length for _, length in prefixes], np.uint8),
        )

    @classmethod
    def concatenated(cls, parts: Sequence[Wide]) -> Wide:
        """Return the arrays of all parts, one behind the other."""
        return cls(
            np.concatenate([part.high for part in parts]),
            np.concatenate([part.low for part in parts]),
            np.concatenate([part.length for part in parts]),
        )

    @property
    def size(self) -> int:
        """How many prefixes there are."""
        return len(self.length)

    def at(self, where: NDArray[np.intp] | NDArray[np.bool_] | slice) -> Wide:
        """Return the prefixes at some indexes."""
        return Wide(self.high[where], self.low[where], self.length[where])

    def is_less(self, other: Wide) -> NDArray[np.bool_]:
        """Tell at each index whether this prefix comes before the other one by (address, length)."""
        less: NDArray[np.bool_] = (self.high < other.high) | (
            (self.high == other.high)
            & ((self.low < other.low) | ((self.low == other.low) & (self.length < other.length)))
        )
        return less

    def equals(self, other: Wide) -> NDArray[np.bool_]:
        """Tell at each index whether the prefixes are the same."""
        same: NDArray[np.bool_] = (self.high == other.high) & (self.low == other.low) & (self.length == other.length)
        return same

    def distinct(self) -> Wide:
        """Return the prefixes in ascending order, each once."""
        if self.size == 0 or self.at(slice(-1)).is_less(self.at(slice(1, None))).all():
            return self
        ordered = self.at(np.lexsort((self.length, self.low, self.high)))
        repeats = ordered.at(slice(1, None)).equals(ordered.at(slice(-1)))
        return ordered.at(np.concatenate(([True], ~repeats)))

    def positions(self, wanted: Wide) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
        """Find prefixes among these, which ascend, by binary search.

        Returns:
            For each prefix where it is or would have to be inserted, and whether it is there.
        """
        first = np.zeros(wanted.size, np.intp)
        if not self.size or not wanted.size:
            return first, np.zeros(wanted.size, np.bool_)
        last = np.full(wanted.size, self.size, np.intp)
        for _ in range(self.size.bit_length()):
            middle = np.minimum((first + last) >> 1, self.size - 1)
            above = self.at(middle).is_less(wanted) & (first < last)
            first, last = np.where(above, middle + 1, first), np.where(above, last, np.minimum(middle, last))
        there = (first < self.size) & self.at(np.minimum(first, self.size - 1)).equals(wanted)
        return first, there

    def insert(self, positions: NDArray[np.intp], added: Wide) -> Wide:
        """Return these with others, each before the index given for it."""
        if not added.size:
            return self
        return Wide(
            np.insert(self.high, positions, added.high),
            np.insert(self.low, positions, added.low),
            np.insert(self.length, positions, added.length),
        )

    def delete(self, positions: NDArray[np.intp]) -> Wide:
        """Return these without those at some indexes."""
        if not len(positions):
            return self
        return Wide(np.delete(self.high, positions), np.delete(self.low, positions), np.delete(self.length, positions))


#: None at all.
NO_WIDE: Final = Wide.of(())
