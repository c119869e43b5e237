"""Equivalence classes of addresses: which addresses no rule can tell apart.

A class is "these address sets, and no others, hold the address". Classes are numbered in one space for both families:
first those of IPv4, beginning with "in no set", then those of IPv6 likewise.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from pyxdp.abi import Limit
from pyxdp.compiler.cut import cut
from pyxdp.compiler.spans import spans_of_ipv4, spans_of_ipv6
from pyxdp.errors import CapacityError
from pyxdp.net.prefixes import Prefixes

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from numpy.typing import NDArray

    from pyxdp.compiler.lists import Lists
    from pyxdp.net.values import Family
    from pyxdp.resolver import AddressSet

#: Prefixes that one policy may have.
MAX_PREFIXES: Final = 1 << 22
#: Classes that members added later may bring: at least so many, or this part of those there are.
_ROOM: Final = 64
_ROOM_SHARE: Final = 16

MAX_CLASSES: Final = int(Limit.MAX_CLASSES)


class Pieces(NamedTuple):
    """A line that is cut: piece n reaches from ``starts[n]`` to the next start. The first start is 0."""

    starts: NDArray[np.uint64]
    classes: NDArray[np.uint32]


class WidePieces(NamedTuple):
    """The same for IPv6 addresses: bits 127 to 64 and 63 to 0 of where each piece begins."""

    high: NDArray[np.uint64]
    low: NDArray[np.uint64]
    classes: NDArray[np.uint32]


@dataclass(frozen=True)
class AddressClasses:
    """All addresses, cut into classes.

    Attributes:
        ipv4: its pieces.
        ipv6: its pieces.
        first_ipv6: the class of IPv6 addresses in no set; 0 is that of IPv4.
        parents: for each class one before it that is in fewer sets; of the two that are in none itself.
        own: for each class the numbers of the sets that it is in and its parent is not, ascending.
        sets: each address set by its id; its number is its place.
        made: classes that came with later changes, by the topmost one above them and the numbers of their sets.
    """

    ipv4: Pieces
    ipv6: WidePieces
    first_ipv6: int
    parents: NDArray[np.uint32]
    own: Lists
    sets: Mapping[str, AddressSet]
    made: Mapping[tuple[int, frozenset[int]], int] = field(default_factory=dict)

    @cached_property
    def numbers(self) -> Mapping[str, int]:
        """Number of each address set by its id."""
        return {name: number for number, name in enumerate(self.sets)}

    @property
    def count(self) -> int:
        """How many classes there are."""
        return len(self.parents)

    @property
    def room(self) -> int:
        """For how many classes rulesets have rows: those there are, and some for members that are added later."""
        return self.count + max(_ROOM, self.count // _ROOM_SHARE)

    @cached_property
    def levels(self) -> tuple[NDArray[np.int64], ...]:
        """All classes by how many are above them, parent by parent: level 0 has the two that are in no set."""
        depths = np.zeros(self.count, np.int64)
        above = self.parents
        moving = above != np.arange(self.count)
        while moving.any():
            depths += moving
            moving = self.parents[above] != above
            above = self.parents[above]
        order = np.argsort(depths, kind="stable")
        return tuple(np.split(order, np.flatnonzero(np.diff(depths[order])) + 1))

    @cached_property
    def are_ipv6(self) -> NDArray[np.bool_]:
        """For each class whether its addresses are those of IPv6."""
        found = np.zeros(self.count, np.bool_)
        found[self.first_ipv6] = True
        for level in self.levels[1:]:
            found[level] = found[self.parents[level]]
        return found

    def family(self, number: int) -> Family:
        """Return the IP version of a class."""
        return 6 if self.are_ipv6[number] else 4

    def members(self, number: int) -> frozenset[str]:
        """Return the ids of the sets that a class is in."""
        found: list[str] = []
        while len(own := self.own.of(number)):
            found += map(self._names.__getitem__, own.tolist())
            number = int(self.parents[number])
        return frozenset(found)

    @cached_property
    def _names(self) -> tuple[str, ...]:
        return tuple(self.sets)


def address_classes(sets: Iterable[AddressSet]) -> AddressClasses:
    """Cut both address families by the sets' prefixes.

    Raises:
        CapacityError: too many prefixes, or too many classes.
    """
    distinct: dict[str, AddressSet] = {}
    for one in sets:
        distinct.setdefault(one.id, one)
    _check("CIDRs of all rules and the sets they select", _count(distinct), MAX_PREFIXES)
    prefixes = [Prefixes.of(one.networks) for one in distinct.values()]
    ipv4 = cut(spans_of_ipv4(prefixes))
    spans, ends = spans_of_ipv6(prefixes)
    ipv6 = cut(spans)
    first_ipv6 = len(ipv4.parents)
    classes = AddressClasses(
        Pieces(ipv4.starts, ipv4.classes),
        WidePieces(*ends.at(ipv6.starts), ipv6.classes + np.uint32(first_ipv6)),
        first_ipv6,
        np.concatenate((ipv4.parents, ipv6.parents + np.uint32(first_ipv6))),
        ipv4.own.followed_by(ipv6.own),
        distinct,
    )
    _check("classes of addresses", classes.room, MAX_CLASSES)
    return classes


def is_too_large(classes: AddressClasses) -> bool:
    """Tell whether classes, or the prefixes that addresses are cut by, are too many."""
    return classes.room > MAX_CLASSES or _count(classes.sets) > MAX_PREFIXES


def _count(sets: Mapping[str, AddressSet]) -> int:
    return sum(len(one.networks) for one in sets.values())


def _check(what: str, needed: int, limit: int) -> None:
    if needed > limit:
        hint = "merge adjacent CIDRs, or select fewer sets"
        raise CapacityError(what, needed=needed, limit=limit, hint=hint)
