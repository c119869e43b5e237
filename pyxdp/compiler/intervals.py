"""Sets of numbers as sorted, disjoint, inclusive intervals, and how a line falls apart into classes of such sets."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

Intervals: TypeAlias = tuple[tuple[int, int], ...]


def union(*sets: Iterable[tuple[int, int]]) -> Intervals:
    """Merge intervals that overlap or touch."""
    merged: list[tuple[int, int]] = []
    for first, last in sorted(interval for intervals in sets for interval in intervals):
        if merged and first <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(merged[-1][1], last))
        else:
            merged.append((first, last))
    return tuple(merged)


def complement(intervals: Intervals, last: int) -> Intervals:
    """Return what is between 0 and ``last`` and not in ``intervals``."""
    holes: list[tuple[int, int]] = []
    begin = 0
    for low, high in intervals:
        if begin < low:
            holes.append((begin, low - 1))
        begin = high + 1
    if begin <= last:
        holes.append((begin, last))
    return tuple(holes)


def intersection(left: Intervals, right: Intervals, last: int) -> Intervals:
    """Return what is in both, all numbers being between 0 and ``last``."""
    return complement(union(complement(left, last), complement(right, last)), last)


def shifted(intervals: Intervals, offset: int) -> Intervals:
    """Move every interval up by ``offset``."""
    return tuple((first + offset, last + offset) for first, last in intervals)


def segments(sets: Sequence[Intervals], last: int) -> Iterator[tuple[int, int]]:
    """Cut 0 to ``last`` where membership changes.

    Yields:
        ``(start, members)`` for each piece in order, bit i of members being set when the piece is in ``sets[i]``.
    """
    changes: dict[int, int] = {0: 0}
    for number, intervals in enumerate(sets):
        for low, high in intervals:
            changes[low] = changes.get(low, 0) ^ (1 << number)
            changes[high + 1] = changes.get(high + 1, 0) ^ (1 << number)
    members = 0
    for start in sorted(changes):
        if start <= last:
            members ^= changes[start]
            yield start, members
