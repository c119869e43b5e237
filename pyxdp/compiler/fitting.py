"""Blocks of ranges (``struct pyxdp_ranges``): which parts of a tree are simple enough for one, and what is in it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from pyxdp.abi import Ipv6Entry, Limit
from pyxdp.compiler.keys import members

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from pyxdp.compiler.keys import U32, U64, Indexes, Ranges

_RANGES: Final = int(Limit.BLOCK_RANGES)
# Where the entries are, in units of 4 bytes.
_VALUES: Final = 4 * _RANGES
_BESIDE: Final = 5 * _RANGES


@dataclass(frozen=True, slots=True)
class Hosts:
    """Which pieces are of one key, and of one class but for a single address, of which the key is the upper half.

    All are arrays with one element a piece.

    Attributes:
        is_host: whether it is such a piece.
        low: lower half of the address.
        value: its entry.
        plant: returns entries that lead to trees of lower halves, for numbers of pieces; asked where they are needed.
    """

    is_host: NDArray[np.bool_]
    low: U64
    value: U32
    plant: Callable[[Indexes], U32]


def write_empty(words: U32, last: U64, entries: U32) -> None:
    """Write blocks without ranges.

    Args:
        words: of all of them.
        last: last key of each part.
        entries: of each.
    """
    words.view(np.uint64)[:, :_RANGES] = (last + np.uint64(1))[:, None]
    words[:, _BESIDE] = entries


def entry_place(numbers: Indexes) -> Indexes:
    """Return the number of the word with the entry for what is in no range, of blocks."""
    return numbers * int(Limit.BLOCK_ENTRIES) + _BESIDE


class Fitting:
    """Which ranges are few enough for a block of ranges, and what is in it.

    Attributes:
        fits: whether each range is one of them.
    """

    def __init__(self, ranges: Ranges, starts: U64, values: U32, hosts: Hosts | None) -> None:
        self._ranges = ranges
        self._hosts = hosts
        self._pieces, self._owner, leads = members(ranges.at, ranges.size)
        last = np.append(leads[1:], np.ones(min(1, len(leads)), np.bool_))
        self._first = np.where(leads, ranges.low[self._owner], starts[self._pieces])
        following = starts[np.minimum(self._pieces + 1, len(starts) - 1)]
        self._span = np.where(last, ranges.high[self._owner], following - np.uint64(1)) - self._first
        self._value = values[self._pieces]
        self._is_host = hosts.is_host[self._pieces] if hosts else np.zeros(len(self._pieces), np.bool_)
        # What the first piece or the last one has is beside the ranges, whichever takes fewer of them.
        self._beside = values[ranges.at]
        other = values[ranges.end - 1]
        needed, alternative = self._needed(self._beside), self._needed(other)
        self._beside = np.where(alternative < needed, other, self._beside)
        self.fits = np.minimum(needed, alternative) <= _RANGES

    def _needed(self, beside: U32) -> Indexes:
        """How many ranges each range takes; a host of which there is no room for what is around it, too many."""
        differs = self._value != beside[self._owner]
        needed = np.where(self._is_host, 1 + _RANGES * differs, differs)
        counted: Indexes = np.bincount(self._owner, needed, minlength=len(self._ranges)).astype(np.int64)
        return counted

    def write(self, words: U32, numbers: Indexes) -> None:
        """Write blocks with those numbers for the ranges, over empty ones.

        Of what does not fit, those that hold most keys; leading to all of it, from beside them, is left to the caller.
        """
        words[numbers[self.fits], _BESIDE] = self._beside[self.fits]
        piece = np.flatnonzero((self._value != self._beside[self._owner]) | self._is_host)
        by_size = piece[np.lexsort((~self._span[piece], self._owner[piece]))]
        owner = self._owner[by_size]
        piece = np.sort(by_size[np.arange(len(owner)) - np.searchsorted(owner, owner) < _RANGES])
        owner = self._owner[piece]
        # Descending, and behind the places that are not used.
        place = _RANGES - 1 - (np.arange(len(piece)) - np.searchsorted(owner, owner))
        number = numbers[owner]
        keys = words.view(np.uint64)
        keys[number, place] = self._first[piece]
        keys[number, _RANGES + place] = self._span[piece]
        words[number, _VALUES + place] = self._value[piece]
        if self._hosts is not None:
            host = self._is_host[piece]
            number, place, of = number[host], place[host], self._pieces[piece[host]]
            keys[number, _RANGES + place] = self._hosts.low[of]
            words[number, _VALUES + place] = self._hosts.value[of] | np.uint32(Ipv6Entry.HOST)
