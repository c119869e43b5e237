"""Prefixes of both families as ranges of numbers below 2^32, which is what :mod:`pyxdp.compiler.cut` cuts.

Those of IPv4 are numbers already. Of IPv6, every address at which a prefix begins or ends is replaced by its rank among
all of them: where nothing begins or ends, nothing is cut.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from pyxdp.net.prefixes import Prefixes

_WORD: Final = 64
_LENGTH_BITS: Final = np.uint64(8)
_LENGTH: Final = np.uint64(0xFF)
_IPV4_BITS: Final = np.uint64(32)
_ONE: Final = np.uint64(1)
_ONES: Final = np.uint64((1 << 64) - 1)


class Spans(NamedTuple):
    """Prefixes as ranges of numbers; of each set in ascending order, the wider ones first.

    Attributes:
        sets: number of the set of each; ascending.
        starts: where it begins; below 2^32.
        ends: what follows its last number; 2^32 if nothing does.
    """

    sets: NDArray[np.uint32]
    starts: NDArray[np.uint64]
    ends: NDArray[np.uint64]


class Ends(NamedTuple):
    """The IPv6 addresses that ranks stand for: bits 127 to 64, and 63 to 0. Rank 0 is the address 0."""

    high: NDArray[np.uint64]
    low: NDArray[np.uint64]

    def at(self, ranks: NDArray[np.uint64]) -> Ends:
        """Return some of them."""
        return Ends(self.high[ranks], self.low[ranks])


def spans_of_ipv4(prefixes: Sequence[Prefixes]) -> Spans:
    """Return the IPv4 prefixes of sets, which are numbered from 0 in this order."""
    keys = _joined([one.ipv4 for one in prefixes], np.uint64)
    starts = keys >> _LENGTH_BITS
    return Spans(
        _numbers([len(one.ipv4) for one in prefixes]), starts, starts + (_ONE << _IPV4_BITS - (keys & _LENGTH))
    )


def spans_of_ipv6(prefixes: Sequence[Prefixes]) -> tuple[Spans, Ends]:
    """Return the IPv6 prefixes of sets by rank, and what the ranks stand for."""
    wide = [one.ipv6 for one in prefixes]
    high = _joined([one.high for one in wide], np.uint64)
    low = _joined([one.low for one in wide], np.uint64)
    length = _joined([one.length for one in wide], np.uint8).astype(np.uint64)
    end_high, end_low, beyond = _behind(high, low, length)
    zero = np.zeros(1, np.uint64)
    ends, ranks = _ranked(np.concatenate((zero, high, end_high)), np.concatenate((zero, low, end_low)))
    starts, lasts = ranks[1 : len(high) + 1], ranks[len(high) + 1 :]
    lasts[beyond] = 1 << int(_IPV4_BITS)
    return Spans(_numbers([one.size for one in wide]), starts, lasts), ends


def _behind(
    high: NDArray[np.uint64], low: NDArray[np.uint64], length: NDArray[np.uint64]
) -> tuple[NDArray[np.uint64], NDArray[np.uint64], NDArray[np.bool_]]:
    """Return the address that follows each prefix, and whether there is none: then it is 0."""
    short = length <= _WORD
    # Shifting by as many bits as there are is not defined.
    step_high = np.where(short & (length > 0), _ONE << (_WORD - length) % _WORD, np.uint64(0))
    step_low = np.where(short, np.uint64(0), _ONE << (2 * _WORD - length) % _WORD)
    end_low = low + step_low
    end_high = high + step_high + (end_low < low)
    return end_high, end_low, (end_high == 0) & (end_low == 0)


def _ranked(high: NDArray[np.uint64], low: NDArray[np.uint64]) -> tuple[Ends, NDArray[np.uint64]]:
    """Return distinct addresses in order, and which one each address is."""
    order = np.lexsort((low, high))
    high, low = high[order], low[order]
    first = np.concatenate(([True], (high[1:] != high[:-1]) | (low[1:] != low[:-1])))
    ranks = np.empty(len(order), np.uint64)
    ranks[order] = np.cumsum(first) - 1
    return Ends(high[first], low[first]), ranks


def _numbers(counts: Sequence[int]) -> NDArray[np.uint32]:
    return np.repeat(np.arange(len(counts), dtype=np.uint32), counts)


def _joined(parts: Sequence[NDArray[Any]], kind: type[np.generic]) -> NDArray[Any]:
    return np.concatenate((np.empty(0, kind), *parts))
