"""Throws of a :class:`random.Random`, the simplest outcome first: so Hypothesis shrinks what its own one has thrown."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Sequence
    from random import Random

_Value = TypeVar("_Value")


def once_in(random: Random, times: int) -> bool:
    """Return true once in so many times."""
    return random.randrange(times) == times - 1


def some(random: Random, values: Sequence[_Value], *, least: int = 0, most: int) -> tuple[_Value, ...]:
    """Choose a number of values; the same one may come twice."""
    return tuple(random.choice(values) for _ in range(least + random.randrange(most - least + 1)))


def subset(random: Random, values: Sequence[_Value], *, least: int = 0, most: int) -> tuple[_Value, ...]:
    """Choose different values, in their order."""
    wanted = least + random.randrange(min(most, len(values)) - least + 1)
    left = list(range(len(values)))
    chosen = sorted(left.pop(random.randrange(len(left))) for _ in range(wanted))
    return tuple(values[place] for place in chosen)
