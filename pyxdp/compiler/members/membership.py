"""The prefixes of one address set while they change, and which addresses a change concerns.

Prefixes of a set may overlap. To add one concerns no address that another one holds already; to remove one leaves those
that others hold.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from typing import TYPE_CHECKING, Final, TypeAlias

import numpy as np

from pyxdp.compiler.members.delta import NeedsRebuildError
from pyxdp.net.wide import Wide

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from pyxdp.compiler.members.pieces import Spans
    from pyxdp.net.prefixes import Prefixes
    from pyxdp.net.values import Family

#: Address and length; they sort by (address, length).
Prefix: TypeAlias = tuple[int, int]

BITS: Final[dict[Family, int]] = {4: 32, 6: 128}
_LOW: Final = (1 << 64) - 1


class SetMembers:
    """The prefixes of one family in one address set."""

    def __init__(self, prefixes: Prefixes, family: Family) -> None:
        """Begin with what was compiled."""
        self._base = prefixes
        self._family = family
        self._bits = BITS[family]
        self._removed: set[Prefix] = set()
        self._added: list[Prefix] = []
        # A search among IPv6 prefixes takes its time, so only for lengths that there are.
        self._lengths = set(range(33) if family == 4 else np.flatnonzero(np.bincount(prefixes.ipv6.length)).tolist())  # noqa: PLR2004

    def add(self, prefixes: Sequence[Prefix], limit: int) -> Spans:
        """Add prefixes; return the addresses that no other prefix held, as disjoint ascending spans.

        Raises:
            NeedsRebuildError: more than ``limit`` prefixes are inside of those.
        """
        fresh = _outermost((one for one in sorted(prefixes) if not self._holds(*one)), self._bits)
        spans = [hole for one in fresh for hole in self._holes(one, limit)]
        for one in prefixes:
            if one in self._removed:
                self._removed.discard(one)
            elif not self._has(one):
                insort(self._added, one)
        self._lengths |= {length for _, length in prefixes}
        return spans

    def remove(self, prefixes: Iterable[Prefix], limit: int) -> Spans:
        """Remove prefixes; return the addresses that no other prefix holds.

        Raises:
            NeedsRebuildError: more than ``limit`` prefixes are inside of those.
        """
        gone = sorted(one for one in set(prefixes) if self._has(one))
        for one in gone:
            at = bisect_left(self._added, one)
            if at < len(self._added) and self._added[at] == one:
                del self._added[at]
            else:
                self._removed.add(one)
        bare = _outermost((one for one in gone if not self._holds(*one)), self._bits)
        return [hole for one in bare for hole in self._holes(one, limit)]

    def _has(self, one: Prefix) -> bool:
        return any(True for _ in self._among([one]))

    def _holds(self, address: int, length: int) -> bool:
        """Whether one prefix holds all of this one."""
        around = [(address >> self._bits - at << self._bits - at, at) for at in self._lengths if at <= length]
        return any(True for _ in self._among(around))

    def _among(self, wanted: list[Prefix]) -> Iterator[Prefix]:
        if self._family == 4:  # noqa: PLR2004 - IPv4
            keys = np.array([address << 8 | length for address, length in wanted], np.uint64)
            positions = np.searchsorted(self._base.ipv4, keys)
            base = self._base.ipv4
            there = base[np.minimum(positions, len(base) - 1)] == keys if len(base) else np.zeros(len(keys), np.bool_)
        else:
            there = self._base.ipv6.positions(Wide.of(wanted))[1]
        yield from (wanted[at] for at in np.flatnonzero(there).tolist() if wanted[at] not in self._removed)
        if self._added:
            for one in wanted:
                at = bisect_left(self._added, one)
                if at < len(self._added) and self._added[at] == one:
                    yield one

    def _holes(self, prefix: Prefix, limit: int) -> Iterator[tuple[int, int]]:
        """Yield what of a prefix no prefix inside of it holds."""
        at, end = prefix[0], prefix[0] + (1 << self._bits - prefix[1])
        for address, length in _outermost(self._inside(prefix, limit), self._bits):
            if address > at:
                yield at, address - 1
            at = address + (1 << self._bits - length)
        if at < end:
            yield at, end - 1

    def _inside(self, prefix: Prefix, limit: int) -> list[Prefix]:
        """Return prefixes inside of one, itself included, in order."""
        last = prefix[0] + (1 << self._bits - prefix[1]) - 1
        compiled = self._compiled_between(prefix[0], last, limit)
        between = slice(bisect_left(self._added, (prefix[0], 0)), bisect_left(self._added, (last, self._bits + 1)))
        found = [one for one in compiled if one not in self._removed] + self._added[between]
        return sorted(one for one in found if one[1] >= prefix[1])

    def _compiled_between(self, first: int, last: int, limit: int) -> list[Prefix]:
        if self._family == 4:  # noqa: PLR2004 - IPv4
            ends = np.array([first << 8, last << 8 | 0xFF], np.uint64)
            low, high = np.searchsorted(self._base.ipv4, ends).tolist()
            self._expect_few(high - low, limit)
            return [(key >> 8, key & 0xFF) for key in self._base.ipv4[low:high].tolist()]
        low, high = self._base.ipv6.positions(Wide.of([(first, 0), (last, 129)]))[0].tolist()
        self._expect_few(high - low, limit)
        found = self._base.ipv6.at(slice(low, high))
        upper, lower, lengths = found.high.tolist(), found.low.tolist(), found.length.tolist()
        return [(high << 64 | low, length) for high, low, length in zip(upper, lower, lengths, strict=True)]

    @staticmethod
    def _expect_few(count: int, limit: int) -> None:
        if count > limit:
            raise NeedsRebuildError(f"{count:,} prefixes are concerned")


def _outermost(prefixes: Iterable[Prefix], bits: int) -> Iterator[Prefix]:
    """Yield those of ascending prefixes that are in none of the others."""
    end = 0
    for address, length in prefixes:
        if address >= end:
            yield address, length
            end = address + (1 << bits - length)
