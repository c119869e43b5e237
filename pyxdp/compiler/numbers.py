"""Equivalence classes of service keys and source ports: which numbers no rule can tell apart.

Every condition is a set of intervals. Walking upwards, each of their ends toggles one condition, so a piece satisfies
what the piece before it does, except for what is toggled where it begins. Signatures are as in
:mod:`pyxdp.compiler.cut`.
"""

from __future__ import annotations

from dataclasses import dataclass
from secrets import token_bytes
from typing import TYPE_CHECKING, Final

import numpy as np

from pyxdp.abi import SportClass
from pyxdp.compiler.addresses import Pieces
from pyxdp.compiler.lists import beginnings, first_appearances
from pyxdp.compiler.service import KEYS, LAST_PORT

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pyxdp.compiler.lists import Lists

_PORTS: Final = LAST_PORT + 1


@dataclass(frozen=True)
class NumberClasses:
    """A field with small numbers, cut into classes.

    Attributes:
        pieces: the numbers, cut.
        first: class of the first number; the classes before it have a fixed meaning.
        samples: for each class from ``first`` on, a number that is in it.
    """

    pieces: Pieces
    first: int
    samples: NDArray[np.uint64]

    @property
    def count(self) -> int:
        """How many classes there are."""
        return self.first + len(self.samples)


def service_classes(toggles: Lists) -> NumberClasses:
    """Cut the service keys by sets of keys; for each set there is where it begins and stops, ascending."""
    return _classes(toggles, KEYS, 0)


def sport_classes(toggles: Lists) -> NumberClasses:
    """Cut source ports by sets of ports likewise, behind the classes of packets whose port is not known."""
    return _classes(toggles, _PORTS, SportClass.FIRST)


def _classes(toggles: Lists, end: int, fixed: int) -> NumberClasses:
    random = np.frombuffer(token_bytes(16 * max(toggles.size, 1)), np.uint64).reshape(2, -1)
    order = np.argsort(toggles.values, kind="stable")
    # Nothing is toggled at 0 first, so that there is a piece that begins there.
    places = np.concatenate((np.zeros(1, np.uint64), toggles.values[order].astype(np.uint64)))
    toggled = toggles.owners[order]
    kept = np.append(places[1:] != places[:-1], True) & (places < end)
    starts = places[kept]
    changes = (np.concatenate((np.zeros(1, np.uint64), bits[toggled])) for bits in random)
    first, classes = first_appearances(*(np.bitwise_xor.accumulate(bits)[kept] for bits in changes))
    numbers = (classes + fixed).astype(np.uint32)
    runs = beginnings(numbers)
    return NumberClasses(Pieces(starts[runs], numbers[runs]), fixed, starts[first])
