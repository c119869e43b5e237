"""Rounds, medians and bounds."""

from __future__ import annotations

import pytest

from pyxdp.bench.figures import Line, above, alternating, number, times


def test_everything_takes_its_turn_and_every_other_round_goes_backwards() -> None:
    order: list[str] = []

    def run(name: str, value: float) -> float:
        order.append(name)
        return value

    found = alternating(3, {"a": lambda: run("a", 1), "b": lambda: run("b", 2)})
    assert found == {"a": [1, 1, 1], "b": [2, 2, 2]}
    assert order == ["a", "b", "b", "a", "a", "b"]


def test_what_is_above_the_floor_is_compared_round_by_round() -> None:
    assert above([60, 600, 61], [30, 560, 30]) == 31
    assert times([60, 600, 90], [30, 200, 30]) == 3


@pytest.mark.parametrize(
    ("line", "met", "failed", "target"),
    [
        (Line("it", 40, "ns", most=40), True, False, "<= 40 ns"),
        (Line("it", 41, "ns", most=40), False, False, "<= 40 ns"),
        (Line("it", 81, "ns", most=40), False, True, "<= 40 ns"),
        (Line("it", 81, "ns", most=40, holds=False), False, False, "<= 40 ns"),
        (Line("it", 1, "packets", most=0), False, True, "<= 0 packets"),
        (Line("it", 19, "x", least=20), False, False, ">= 20 x"),
        (Line("it", 9, "x", least=20), False, True, ">= 20 x"),
        (Line("it", 30, "x", least=20, most=60), True, False, "<= 60, >= 20 x"),
        (Line("it", None, "x", least=20, note="no tool"), None, False, ">= 20 x"),
        (Line("it", 7), None, False, ""),
    ],
)
def test_a_line_is_held_against_its_bounds(line: Line, met: bool | None, failed: bool, target: str) -> None:  # noqa: FBT001
    assert (line.met, line.failed, line.target) == (met, failed, target)
    assert line.as_json()["met"] is met


@pytest.mark.parametrize(
    ("value", "shown"), [(0, "0"), (0.5, "0.50"), (12.34, "12.3"), (123.4, "123"), (1_234_567, "1,234,567"), (20, "20")]
)
def test_numbers_have_three_digits_that_matter(value: float, shown: str) -> None:
    assert number(value) == shown
