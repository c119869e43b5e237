"""Medians, and what they are held against."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from statistics import median
from typing import TYPE_CHECKING, Any, Final, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    Key = TypeVar("Key")

#: How far off its target a figure must be for a whole run to fail: shared machines vary by as much.
TOLERANCE: Final = 2.0


def alternating(rounds: int, runs: Mapping[Key, Callable[[], float]]) -> dict[Key, list[float]]:
    """Measure everything ``rounds`` times, all of it in each round, so that what disturbs one disturbs the others.

    Every other round goes backwards: a trend of the machine favours none.
    """
    found: dict[Key, list[float]] = {name: [] for name in runs}
    for number in range(rounds):
        for name in list(runs)[:: -1 if number % 2 else 1]:
            found[name].append(runs[name]())
    return found


def above(samples: Sequence[float], floor: Sequence[float]) -> float:
    """Return the median of what was measured above the floor, round by round."""
    return median(one - other for one, other in zip(samples, floor, strict=True))


def times(samples: Sequence[float], others: Sequence[float]) -> float:
    """Return the median of how many times more was measured, round by round."""
    return median(one / other for one, other in zip(samples, others, strict=True))


@dataclass(frozen=True)
class Line:
    """A figure, and its target.

    Attributes:
        title: what was measured.
        value: the figure; ``None``: it could not be measured.
        unit: of the figure, as ``ns``.
        most: the target: at most this; ``None``: there is none.
        least: the target: at least this; ``None``: there is none.
        holds: it must: a measurement that misses its target by more than :data:`TOLERANCE` fails.
        note: why there is no figure, or what else is to be known.
        detail: further figures by name.
        samples: of every round.
    """

    title: str
    value: float | None
    unit: str = ""
    most: float | None = None
    least: float | None = None
    holds: bool = True
    note: str = ""
    detail: Mapping[str, Any] = field(default_factory=dict)
    samples: tuple[float, ...] = ()

    @property
    def met(self) -> bool | None:
        """Whether the target is met; ``None``: there is no figure or no target."""
        if self.value is None or (self.most is None and self.least is None):
            return None
        return (self.most is None or self.value <= self.most) and (self.least is None or self.value >= self.least)

    @property
    def failed(self) -> bool:
        """Whether the measurement fails by it: a target that is missed by less is printed as missed."""
        if not self.holds or self.value is None:
            return False
        too_much = self.most is not None and self.value > self.most * TOLERANCE
        return too_much or (self.least is not None and self.value < self.least / TOLERANCE)

    @property
    def shown(self) -> str:
        """The figure for people."""
        return "not measured" if self.value is None else f"{number(self.value)} {self.unit}".rstrip()

    @property
    def target(self) -> str:
        """The target for people."""
        bounds = [f"<= {number(self.most)}"] if self.most is not None else []
        bounds += [f">= {number(self.least)}"] if self.least is not None else []
        return f"{', '.join(bounds)} {self.unit}".strip() if bounds else ""

    @property
    def mark(self) -> str:
        """``met``, ``NOT MET`` or nothing."""
        return {True: "met", False: "NOT MET", None: ""}[self.met]

    def as_json(self) -> dict[str, Any]:
        """Return everything, with ``met`` and ``failed``."""
        return asdict(self) | {"met": self.met, "failed": self.failed}


def number(value: float) -> str:
    """Write a number with three digits that matter."""
    size = abs(value)
    if size >= 100 or value == int(value):  # noqa: PLR2004 - three digits
        return f"{value:,.0f}"
    return f"{value:.1f}" if size >= 10 else f"{value:.2f}"  # noqa: PLR2004 - three digits
