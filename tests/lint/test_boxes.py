"""Arithmetic on sorted intervals is arithmetic on sets of numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from pyxdp.compiler.intervals import union
from pyxdp.lint.boxes import holds, meet, minus

if TYPE_CHECKING:
    from pyxdp.compiler.intervals import Intervals

ENDS = st.tuples(st.integers(0, 40), st.integers(0, 6)).map(lambda pair: (pair[0], pair[0] + pair[1]))
SETS = st.lists(ENDS, max_size=12).map(union)


def numbers(intervals: Intervals) -> set[int]:
    found = [number for first, last in intervals for number in range(first, last + 1)]
    assert found == sorted(set(found))
    assert all(first <= last for first, last in intervals)
    return set(found)


@given(SETS, SETS)
def test_what_is_in_both(left: Intervals, right: Intervals) -> None:
    assert numbers(meet(left, right)) == numbers(left) & numbers(right)


@given(SETS, SETS)
def test_what_is_in_one_only(left: Intervals, right: Intervals) -> None:
    assert numbers(minus(left, right)) == numbers(left) - numbers(right)


@given(SETS, st.integers(-1, 50))
def test_what_holds_a_number(intervals: Intervals, number: int) -> None:
    assert holds(intervals, number) == (number in numbers(intervals))
