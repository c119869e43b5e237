"""Classes of addresses by what they stand for, old ones and new ones."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Final

import numpy as np

from pyxdp.compiler.members.delta import NeedsRebuildError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pyxdp.compiler.image import ImageAddresses
    from pyxdp.net.values import Family

#: SplitMix64 (Steele, Lea and Flood 2014).
_STEP: Final = np.uint64(0x9E3779B97F4A7C15)
_MIX: Final = ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB), (31, 1))


@dataclass(frozen=True, slots=True)
class AddressClass:
    """What an address class stands for: addresses of one family that are in these sets and in no others."""

    family: Family
    sets: frozenset[str]

    def with_(self, names: frozenset[str]) -> AddressClass:
        """Return the class of addresses that are in these sets as well."""
        return AddressClass(self.family, self.sets | names)

    def without(self, names: frozenset[str]) -> AddressClass:
        """Return the class of addresses that are not in these sets."""
        return AddressClass(self.family, self.sets - names)


class KnownClasses:
    """The classes of an image, and those that were added to them.

    There may be very many, of which a change concerns one or two. So those of the image are looked at when they are
    asked for, and found by a number that all of them are given at once.
    """

    def __init__(self, addresses: ImageAddresses) -> None:
        self._addresses = addresses
        self._met: dict[int, AddressClass] = {}
        self._numbers: dict[AddressClass, int] = {}
        self._count = addresses.count

    def __getitem__(self, number: int) -> AddressClass:
        if number not in self._met:
            self._meet(number)
        return self._met[number]

    def number(self, wanted: AddressClass) -> int | None:
        """Return the class that stands for this; ``None`` if there is none."""
        if wanted not in self._numbers:
            for number in np.flatnonzero(self._signatures == np.uint64(self._signature(wanted))).tolist():
                self._meet(number)
        return self._numbers.get(wanted)

    def add(self, made: AddressClass) -> int:
        """Number a new class.

        Raises:
            NeedsRebuildError: there is no room for its rows.
        """
        if self._count >= self._addresses.room:
            raise NeedsRebuildError(f"no room for more than {self._count:,} classes of addresses")
        number, self._count = self._count, self._count + 1
        self._met[number] = made
        self._numbers[made] = number
        return number

    def _meet(self, number: int) -> None:
        met = AddressClass(self._addresses.family(number), self._addresses.members(number))
        self._met[number] = met
        self._numbers[met] = number

    @cached_property
    def _of_sets(self) -> NDArray[np.uint64]:
        """A number for each set, all bits of which look like chance."""
        mixed: NDArray[np.uint64] = np.arange(1, len(self._addresses.classes.sets) + 1, dtype=np.uint64) * _STEP
        for shift, factor in _MIX:
            mixed = (mixed ^ mixed >> np.uint64(shift)) * np.uint64(factor)
        return mixed

    @cached_property
    def _signatures(self) -> NDArray[np.uint64]:
        """For each class of the image the exclusive or of its sets' numbers."""
        classes = self._addresses.classes
        found = np.zeros(classes.count, np.uint64)
        for level in classes.levels[1:]:
            found[level] = found[classes.parents[level]] ^ classes.own.take(level).xor(self._of_sets)
        return found

    def _signature(self, wanted: AddressClass) -> int:
        found = 0
        for name in wanted.sets:
            found ^= int(self._of_sets[self._addresses.classes.numbers[name]])
        return found
