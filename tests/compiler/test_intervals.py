"""Intervals against plain sets of numbers."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from pyxdp.compiler.intervals import Intervals, complement, intersection, shifted, union

LAST = 40
ENDS = st.tuples(st.integers(0, LAST), st.integers(0, LAST)).map(lambda ends: (min(ends), max(ends)))
RAW = st.lists(ENDS, max_size=6)
INTERVALS = RAW.map(union)


def numbers(intervals: Intervals | list[tuple[int, int]]) -> set[int]:
    return {number for first, last in intervals for number in range(first, last + 1)}


def is_canonical(intervals: Intervals) -> bool:
    """Sorted, not empty, and neither overlapping nor touching."""
    ends = [end for interval in intervals for end in interval]
    touching = any(first <= before + 1 for (_, before), (first, _) in pairwise(intervals))
    return ends == sorted(ends) and not touching


@given(st.lists(RAW, max_size=3))
def test_union(sets: list[list[tuple[int, int]]]) -> None:
    joined = union(*sets)
    assert numbers(joined) == set().union(*map(numbers, sets))
    assert is_canonical(joined)


@given(INTERVALS)
def test_complement(intervals: Intervals) -> None:
    rest = complement(intervals, LAST)
    assert numbers(rest) == set(range(LAST + 1)) - numbers(intervals)
    assert is_canonical(rest)
    assert complement(rest, LAST) == intervals


@given(INTERVALS, INTERVALS)
def test_intersection(left: Intervals, right: Intervals) -> None:
    both = intersection(left, right, LAST)
    assert numbers(both) == numbers(left) & numbers(right)
    assert is_canonical(both)


@given(INTERVALS, st.integers(0, 100))
def test_shifted(intervals: Intervals, offset: int) -> None:
    assert numbers(shifted(intervals, offset)) == {number + offset for number in numbers(intervals)}
