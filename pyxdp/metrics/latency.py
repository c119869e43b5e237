"""A cumulative histogram of seconds that come as a window of the latest ones."""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

#: Upper bounds of the buckets in seconds; 0.2 is what a change may take in the median.
BOUNDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class Buckets:
    """How often which time was taken, since the beginning.

    Attributes:
        sum: of all seconds.
    """

    def __init__(self) -> None:
        self._counts = [0] * (len(BOUNDS) + 1)
        self._seen = 0
        self.sum = 0.0

    def take(self, latest: Sequence[float], total: int) -> None:
        """Take in what was not seen before.

        Args:
            latest: the last seconds that there were, the newest at the end; what has left this window unseen is lost.
            total: how many there ever were.
        """
        fresh = min(total - self._seen, len(latest))
        self._add(latest[len(latest) - fresh :] if fresh > 0 else ())
        self._seen = total

    def cumulative(self) -> Iterator[tuple[float, int]]:
        """Upper bound of each bucket, and how many took at most that; the last bound is infinite."""
        total = 0
        for bound, count in zip((*BOUNDS, float("inf")), self._counts, strict=True):
            total += count
            yield bound, total

    def _add(self, seconds: Iterable[float]) -> None:
        for value in seconds:
            self._counts[bisect_left(BOUNDS, value)] += 1
            self.sum += value
