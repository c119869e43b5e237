"""Many short lists of small numbers in two arrays, and what to do with runs of equal numbers."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


#: An odd number whose powers have bits all over (that of SplitMix64, Steele, Lea and Flood 2014).
_FACTOR: Final = np.uint64(0xBF58476D1CE4E5B9)


class Lists(NamedTuple):
    """List number n is ``values[offsets[n] : offsets[n + 1]]``, integers of any kind."""

    offsets: NDArray[np.int64]
    values: NDArray[Any]

    @property
    def size(self) -> int:
        """How many lists there are."""
        return len(self.offsets) - 1

    @property
    def lengths(self) -> NDArray[np.int64]:
        """How long each list is."""
        return np.diff(self.offsets)

    @property
    def owners(self) -> NDArray[np.int64]:
        """The number of the list that each value is in."""
        return np.repeat(np.arange(self.size), self.lengths)

    def followed_by(self, other: Lists) -> Lists:
        """Return these lists, then the others."""
        offsets = np.concatenate((self.offsets, other.offsets[1:] + self.offsets[-1]))
        return Lists(offsets, np.concatenate((self.values, other.values)))

    def of(self, number: int) -> NDArray[Any]:
        """Return one list."""
        return self.values[self.offsets[number] : self.offsets[number + 1]]

    def take(self, numbers: NDArray[Any]) -> Lists:
        """Return some of the lists, in this order."""
        lengths = self.lengths[numbers]
        offsets = np.concatenate(([0], np.cumsum(lengths)))
        places = np.arange(offsets[-1]) + np.repeat(self.offsets[:-1][numbers] - offsets[:-1], lengths)
        return Lists(offsets, self.values[places])

    def prepended_by_none(self) -> Lists:
        """Return an empty list, then these."""
        return Lists(np.concatenate(([0], self.offsets)), self.values)

    def xor(self, numbers: NDArray[np.uint64]) -> NDArray[np.uint64]:
        """Return for each list, none of which is empty, the exclusive or of what ``numbers`` has for its values."""
        if not self.size:
            return np.empty(0, np.uint64)
        found: NDArray[np.uint64] = np.bitwise_xor.reduceat(numbers[self.values], self.offsets[:-1])
        return found


#: No list at all.
NO_LISTS: Final = Lists(np.zeros(1, np.int64), np.empty(0, np.uint32))


class GrowingLists:
    """Lists to which others are appended now and then."""

    def __init__(self) -> None:
        self._lists = NO_LISTS
        self._fresh: list[Sequence[int]] = []

    def append(self, values: Sequence[int]) -> None:
        """Append one list."""
        self._fresh.append(values)

    @property
    def lists(self) -> Lists:
        """All lists."""
        if self._fresh:
            offsets = np.cumsum([0, *map(len, self._fresh)])
            values = np.fromiter(chain.from_iterable(self._fresh), np.uint32, int(offsets[-1]))
            self._lists = self._lists.followed_by(Lists(offsets, values))
            self._fresh = []
        return self._lists


def beginnings(values: NDArray[Any]) -> NDArray[np.int64]:
    """Return the index at which each run of equal values begins."""
    return np.flatnonzero(np.concatenate((np.ones(min(len(values), 1), np.bool_), values[1:] != values[:-1])))


def first_appearances(*columns: NDArray[np.uint64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Number different values by order of first appearance, a value being what all columns have at an index.

    Returns:
        The index of the first appearance of each number, and the number at each index.
    """
    order = np.lexsort(columns)
    changed = np.zeros(len(order), np.bool_)
    changed[:1] = True
    for column in columns:
        changed[1:] |= column[order[1:]] != column[order[:-1]]
    groups = np.cumsum(changed) - 1
    # Sorting is stable: the first of a group is the one that appears first.
    first = order[changed]
    ranks = np.empty(len(first), np.int64)
    by_appearance = np.argsort(first)
    ranks[by_appearance] = np.arange(len(first))
    numbers = np.empty(len(order), np.int64)
    numbers[order] = ranks[groups]
    return first[by_appearance], numbers


def distinct_rows(rows: NDArray[np.uint32]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Number different rows by order of first appearance; the length of a row is even.

    Returns:
        The index of the first appearance of each number, and the number at each index.
    """
    pairs = np.ascontiguousarray(rows).view(np.uint64)
    factors = np.cumprod(np.full(pairs.shape[1], _FACTOR))
    first, numbers = first_appearances(pairs @ factors)
    repeated = np.flatnonzero(first[numbers] != np.arange(len(rows)))
    if (pairs[repeated] == pairs[first[numbers[repeated]]]).all():
        return first, numbers
    # Different rows with one hash: nothing is lost by storing all of them.
    every = np.arange(len(rows))
    return every, every
