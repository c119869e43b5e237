"""What rules ask for, by number, so that ten thousand rules are arrays of numbers.

Every different match, and in matches every different condition, gets a number when it is seen first and keeps it. Of a
match that was seen before nothing is looked at but which object it is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from pyxdp.compiler.lists import GrowingLists, Lists
from pyxdp.compiler.service import KEYS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from pyxdp.compiler.blocks import CompiledRule
    from pyxdp.compiler.intervals import Intervals
    from pyxdp.compiler.matches import AddressCondition, Match
    from pyxdp.net.values import Family
    from pyxdp.resolver import AddressSet

#: Columns of what matches ask for.
SOURCE: Final = 0
DESTINATION: Final = 1
SERVICE: Final = 2
SPORT: Final = 3

#: Number of the conditions that ask for nothing: any address, any service, whatever source port.
WHATEVER: Final = 0

_ALL_KEYS: Final = ((0, KEYS - 1),)


class Conditions(NamedTuple):
    """What each rule of a list asks of an address.

    Attributes:
        wanted: numbers of sets that it must be in, each once.
        excluded: of sets that it must not be in.
        families: bit 4 and bit 6: IP versions that it may have.
    """

    wanted: Lists
    excluded: Lists
    families: NDArray[np.uint32]


class AddressTerms:
    """Conditions on addresses. Sets are known by their ids, which have numbers, too."""

    def __init__(self) -> None:
        self._numbers: dict[tuple[frozenset[Family], tuple[str, ...], tuple[str, ...]], int] = {}
        self._names: dict[str, int] = {}
        self._wanted, self._excluded, self._families = GrowingLists(), GrowingLists(), GrowingLists()
        self._number(frozenset({4, 6}), (), ())

    def number(self, condition: AddressCondition) -> int:
        """Return the number of a condition, new or not."""
        wanted = [one.id for one in condition.sets]
        return self._number(condition.families, tuple(wanted), tuple([one.id for one in condition.not_sets]))

    def name(self, name: str) -> int:
        """Return the number of a set's id, new or not."""
        return self._names.setdefault(name, len(self._names))

    def conditions(self, numbers: NDArray[np.uint32], sets: NDArray[np.int64]) -> Conditions:
        """Return what conditions ask for.

        Args:
            numbers: of the conditions.
            sets: how sets are to be called: for the number of each id another number.
        """
        wanted, excluded = (one.lists.take(numbers) for one in (self._wanted, self._excluded))
        return Conditions(
            Lists(wanted.offsets, sets[wanted.values]),
            Lists(excluded.offsets, sets[excluded.values]),
            self._families.lists.values[numbers],
        )

    def _number(self, families: frozenset[Family], wanted: tuple[str, ...], excluded: tuple[str, ...]) -> int:
        key = families, wanted, excluded
        number = self._numbers.get(key)
        if number is None:
            number = self._numbers[key] = len(self._numbers)
            self._wanted.append([self.name(one) for one in dict.fromkeys(wanted)])
            self._excluded.append([self.name(one) for one in dict.fromkeys(excluded)])
            self._families.append([sum(1 << family for family in families)])
        return number


class IntervalTerms:
    """Sets of small numbers."""

    def __init__(self, first: Intervals | None) -> None:
        self._numbers: dict[Intervals | None, int] = {}
        self._toggles = GrowingLists()
        self.number(first)

    def number(self, intervals: Intervals | None) -> int:
        """Return the number of a set, new or not."""
        number = self._numbers.get(intervals)
        if number is None:
            number = self._numbers[intervals] = len(self._numbers)
            self._toggles.append([end for first, last in intervals or () for end in (first, last + 1)])
        return number

    @property
    def toggles(self) -> Lists:
        """For each set the numbers at which it begins or stops, ascending."""
        return self._toggles.lists


class Terms:
    """Matches.

    Attributes:
        addresses: what they ask of addresses.
        services: of protocol and destination port.
        sports: of the source port.
    """

    def __init__(self) -> None:
        self.addresses = AddressTerms()
        self.services = IntervalTerms(_ALL_KEYS)
        self.sports = IntervalTerms(None)
        self._numbers: dict[int, int] = {}
        self._matches: list[Match] = []  # what is known by id() must live
        self._asked = GrowingLists()
        self._sets = GrowingLists()
        self._set_numbers: dict[int, int] = {}
        self._set_objects: list[AddressSet] = []
        self._names = GrowingLists()

    @property
    def size(self) -> int:
        """How many matches are known."""
        return len(self._matches)

    @property
    def asked(self) -> NDArray[np.uint32]:
        """For each match the numbers of its conditions on source, destination, service and source port."""
        return self._asked.lists.values.reshape(-1, 4)

    def numbers(self, rules: Iterable[CompiledRule]) -> NDArray[np.int64]:
        """Return the number of each rule's match, new or not."""
        matches = [rule.match for rule in rules]
        found = list(map(self._numbers.get, map(id, matches)))
        for place in [place for place, number in enumerate(found) if number is None]:
            found[place] = self._learn(matches[place])
        return np.array(found, np.int64)

    def set_numbers(self, matches: NDArray[np.int64]) -> NDArray[np.uint32]:
        """Return the numbers of the sets that some matches name, as they are now, ascending."""
        return np.unique(self._sets.lists.take(matches).values)

    def sets(self, numbers: NDArray[np.uint32]) -> dict[int, AddressSet]:
        """Return sets by the numbers of their ids, ascending."""
        names = self._names.lists.values[numbers]
        order = np.argsort(names, kind="stable")
        ordered = zip(names[order].tolist(), numbers[order].tolist(), strict=True)
        return {name: self._set_objects[number] for name, number in ordered}

    def _learn(self, match: Match) -> int:
        number = self._numbers.setdefault(id(match), len(self._matches))
        if number < len(self._matches):
            return number
        self._matches.append(match)
        ends = (match.source, match.destination)
        self._asked.append(
            [
                *map(self.addresses.number, ends),
                self.services.number(match.services),
                self.sports.number(match.source_ports),
            ]
        )
        self._sets.append([self._set(one) for end in ends for one in (*end.sets, *end.not_sets)])
        return number

    def _set(self, one: AddressSet) -> int:
        """Return the number of a set as it is now: another object of the same id may have other members."""
        number = self._set_numbers.get(id(one))
        if number is None:
            number = self._set_numbers[id(one)] = len(self._set_objects)
            self._set_objects.append(one)
            self._names.append([self.addresses.name(one.id)])
        return number
