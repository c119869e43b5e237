"""Equivalence classes of service keys and source ports: which numbers no rule can tell apart.

Every condition is a set of intervals. Walking upwards, each of their ends toggles one condition, so a piece satisfies
what the piece before it does, except for what is toggled where it begins. Signatures are as in
:mod:`pyxdp.compiler.cut`.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain
from secrets import token_bytes
from typing import TYPE_CHECKING, Final

import numpy as np

from pyxdp.abi import SportClass
from pyxdp.compiler.addresses import Pieces
from pyxdp.compiler.lists import Lists, beginnings, first_appearances
from pyxdp.compiler.service import KEYS, LAST_PORT

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from numpy.typing import NDArray

    from pyxdp.compiler.intervals import Intervals

_PORTS: Final = LAST_PORT + 1


@dataclass(frozen=True)
class NumberClasses:
    """A field with small numbers, cut into classes.

    Attributes:
        pieces: the numbers, cut.
        first: class of the first number; the classes before it have a fixed meaning.
        samples: for each class from ``first`` on, a number that is in it.
        toggles: for each condition the numbers at which it begins or stops to hold, ascending.
        numbers: number of each condition.
    """

    pieces: Pieces
    first: int
    samples: NDArray[np.uint64]
    toggles: Lists
    numbers: Mapping[Intervals, int]

    @property
    def count(self) -> int:
        """How many classes there are."""
        return self.first + len(self.samples)


def service_classes(conditions: Iterable[Intervals]) -> NumberClasses:
    """Cut the service keys by sets of keys."""
    return _classes(conditions, KEYS, 0)


def sport_classes(conditions: Iterable[Intervals]) -> NumberClasses:
    """Cut source ports by sets of ports, behind the classes of packets whose port is not known."""
    return _classes(conditions, _PORTS, SportClass.FIRST)


def _classes(conditions: Iterable[Intervals], end: int, fixed: int) -> NumberClasses:
    numbers = {one: number for number, one in enumerate(dict.fromkeys(conditions))}
    toggles = _toggles(numbers)
    random = np.frombuffer(token_bytes(16 * max(len(numbers), 1)), np.uint64).reshape(2, -1)
    order = np.argsort(toggles.values, kind="stable")
    # Nothing is toggled at 0 first, so that there is a piece that begins there.
    places = np.concatenate((np.zeros(1, np.uint64), toggles.values[order].astype(np.uint64)))
    toggled = toggles.owners[order]
    kept = np.append(places[1:] != places[:-1], True) & (places < end)
    starts = places[kept]
    changes = (np.concatenate((np.zeros(1, np.uint64), bits[toggled])) for bits in random)
    first, classes = first_appearances(*(np.bitwise_xor.accumulate(bits)[kept] for bits in changes))
    classes = (classes + fixed).astype(np.uint32)
    runs = beginnings(classes)
    return NumberClasses(Pieces(starts[runs], classes[runs]), fixed, starts[first], toggles, numbers)


def _toggles(conditions: Iterable[Intervals]) -> Lists:
    """Return where each interval of each condition begins, and what follows it."""
    conditions = list(conditions)
    lengths = np.fromiter((2 * len(one) for one in conditions), np.int64, len(conditions))
    offsets = np.concatenate((np.zeros(1, np.int64), np.cumsum(lengths)))
    values = np.fromiter(chain.from_iterable(chain.from_iterable(conditions)), np.uint32, int(offsets[-1]))
    values[1::2] += 1
    return Lists(offsets, values)
