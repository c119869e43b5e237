"""Waiting for a fact instead of sleeping."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


def wait_until(predicate: Callable[[], T], *, timeout: float = 60.0, what: str = "") -> T:
    """Return the predicate's first true result; fail when there is none in time."""
    deadline = time.monotonic() + timeout
    pause = 0.001
    while True:
        result = predicate()
        if result:
            return result
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {timeout} s: {what or predicate}; last result {result!r}")
        time.sleep(pause)
        pause = min(2 * pause, 0.05)
