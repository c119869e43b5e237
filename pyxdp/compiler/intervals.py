"""Sets of numbers as sorted, disjoint, inclusive intervals."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterable

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
