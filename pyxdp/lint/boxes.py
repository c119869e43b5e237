"""Sets of packets as boxes: exact answers to "is anything left of it?".

A box is a product of independent conditions, each a set of numbers. What one box leaves of another is at most four
boxes, one for each condition; so whether earlier rules take everything from a later one is decided by subtracting them
one after the other. Rules that are cut into very many pieces are given up, which finds less and never claims too much.

Only whole packets are described. That suffices for fragments, too: a later fragment is decided by the first rule that
its datagram might match, which never is a rule that no whole packet reaches.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pyxdp.compiler.intervals import Intervals
    from pyxdp.net.values import Family

#: Pieces of one rule beyond which it is not looked at any further.
MAX_PIECES: Final = 64

_BEYOND: Final = 1 << 129


class TooManyPiecesError(Exception):
    """A set of packets can not be told in few boxes, or not in reasonable time."""


class Box(NamedTuple):
    """Packets of one IP version. No condition is empty.

    Attributes:
        family: 4 or 6.
        source: addresses as numbers.
        destination: likewise.
        services: service keys as in :mod:`pyxdp.compiler.service`, without those of later fragments.
        source_ports: all of them for packets that have none.
    """

    family: Family
    source: Intervals
    destination: Intervals
    services: Intervals
    source_ports: Intervals


class Bounds(NamedTuple):
    """The outermost values of boxes: first and last service, source and destination."""

    first_service: int
    last_service: int
    first_source: int
    last_source: int
    first_destination: int
    last_destination: int


class Effort:
    """How much may still be computed, in comparisons of intervals or boxes. Deterministic, unlike a clock."""

    def __init__(self, limit: int) -> None:
        self._left = limit

    def spend(self, comparisons: int) -> None:
        """Count work that is about to be done.

        Raises:
            TooManyPiecesError: the limit is reached.
        """
        self._left -= comparisons
        if self._left < 0:
            raise TooManyPiecesError

    @property
    def exhausted(self) -> bool:
        """Whether something was left out."""
        return self._left < 0


def meet(left: Intervals, right: Intervals) -> Intervals:
    """Return what is in both."""
    if left is right:
        return left
    few, many = (left, right) if len(left) <= len(right) else (right, left)
    if len(few) == 1 and few[0][0] <= many[0][0] and many[-1][1] <= few[0][1]:
        return many
    found: list[tuple[int, int]] = []
    for low, high in few:
        begin, end = _touched(many, low, high)
        if begin < end:
            first = len(found)
            found += many[begin:end]
            found[first] = max(low, found[first][0]), found[first][1]
            found[-1] = found[-1][0], min(high, found[-1][1])
    return tuple(found)


def minus(left: Intervals, right: Intervals) -> Intervals:
    """Return what is in ``left`` only."""
    if left is right:
        return ()
    if len(left) > len(right) > 0:
        return meet(left, minus(((left[0][0], left[-1][1]),), right))
    found: list[tuple[int, int]] = []
    for low, high in left:
        begin, end = _touched(right, low, high)
        # Of whole slices, since either may have very many.
        starts = [low, *(last + 1 for _, last in right[begin:end])]
        ends = [*(first - 1 for first, _ in right[begin:end]), high]
        found += [(first, last) for first, last in zip(starts, ends, strict=True) if first <= last]
    return tuple(found)


def _touched(intervals: Intervals, low: int, high: int) -> tuple[int, int]:
    """Return from where to where intervals have something in common with one."""
    begin = max(bisect_right(intervals, (low, _BEYOND)) - 1, 0)
    if begin < len(intervals) and intervals[begin][1] < low:
        begin += 1
    return begin, bisect_right(intervals, (high, _BEYOND), begin)


def holds(intervals: Intervals, number: int) -> bool:
    """Tell whether a number is in a set."""
    at = bisect_left(intervals, (number + 1,)) - 1
    return at >= 0 and intervals[at][1] >= number


def common(one: Box, other: Box) -> Box | None:
    """Return the packets that are in both boxes, if any."""
    if _apart(one, other):
        return None
    services = meet(one.services, other.services)
    ports = meet(one.source_ports, other.source_ports) if services else ()
    destination = meet(one.destination, other.destination) if ports else ()
    source = meet(one.source, other.source) if destination else ()
    return Box(one.family, source, destination, services, ports) if source else None


def without(one: Box, other: Box) -> list[Box]:
    """Return disjoint boxes that hold the packets of ``one`` that ``other`` does not have."""
    both = common(one, other)
    if both is None:
        return [one]
    pieces = (
        one._replace(services=minus(one.services, other.services)),
        one._replace(services=both.services, source_ports=minus(one.source_ports, other.source_ports)),
        both._replace(source=one.source, destination=minus(one.destination, other.destination)),
        both._replace(source=minus(one.source, other.source)),
    )
    return [piece for piece in pieces if all(piece[1:])]


def subtract(boxes: list[Box], taken: Box, effort: Effort) -> list[Box]:
    """Return what is left of ``boxes``: the same list if nothing was taken.

    Raises:
        TooManyPiecesError: too many pieces, or too much work.
    """
    if all(_apart(box, taken) for box in boxes):
        return boxes
    left: list[Box] = []
    changed = False
    for box in boxes:
        if not _apart(box, taken):
            effort.spend(sum(map(len, box[1:])) + sum(map(len, taken[1:])))
        pieces = without(box, taken)
        changed |= pieces != [box]
        left += pieces
    if len(left) > MAX_PIECES:
        raise TooManyPiecesError
    return left if changed else boxes


def bounds_of(boxes: Iterable[Box]) -> Bounds:
    """Return the outermost values of at least one box; two of one IP version that lie apart have nothing in common."""
    found = list(boxes)
    ends: list[int] = []
    for intervals in ([it.services for it in found], [it.source for it in found], [it.destination for it in found]):
        ends += (min(one[0][0] for one in intervals), max(one[-1][1] for one in intervals))
    return Bounds(*ends)


def narrowed(boxes: Iterable[Box], within: Iterable[Box] | None) -> list[Box]:
    """Return the parts of boxes that are in one of those of ``within``; ``None`` stands for everything."""
    if within is None:
        return list(boxes)
    limits = list(within)
    found = (common(box, limit) for box in boxes for limit in limits)
    return [box for box in found if box is not None]


def _apart(one: Box, other: Box) -> bool:
    """Tell by their outermost values alone that two boxes have nothing in common."""
    return (
        one.family != other.family
        or one.services[0][0] > other.services[-1][1]
        or one.services[-1][1] < other.services[0][0]
        or one.source[0][0] > other.source[-1][1]
        or one.source[-1][1] < other.source[0][0]
        or one.destination[0][0] > other.destination[-1][1]
        or one.destination[-1][1] < other.destination[0][0]
        or one.source_ports[0][0] > other.source_ports[-1][1]
        or one.source_ports[-1][1] < other.source_ports[0][0]
    )
