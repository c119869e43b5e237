"""How long to wait for what."""

from __future__ import annotations

import random
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """Times, in seconds. Tests take shorter ones.

    Attributes:
        answer: that an answer may take.
        heartbeat: between two questions whether the server still answers; that is how an interruption is found that
            ends no connection.
        watch: that a watch lasts before it is renewed; the server ends it, up to half as much later.
        relook: between two looks for kinds that are not served.
        first: after the first failure; doubles with each one ...
        most: ... up to this.
        status: between two writes of the status; what can not be written is tried less and less often.
        settling: after the start of the agent, before it says that something is not known yet.
        rewrite: after which the status is looked at again, since others may have changed or removed it.
        page: objects in one answer to a list; a number, not a time.
    """

    answer: float = 10.0
    heartbeat: float = 20.0
    watch: float = 300.0
    relook: float = 30.0
    first: float = 0.5
    most: float = 30.0
    status: float = 5.0
    settling: float = 20.0
    rewrite: float = 600.0
    page: int = 100


class Backoff:
    """Longer and longer pauses, at random, so that the agents of a cluster do not all come back at once."""

    def __init__(self, timing: Timing) -> None:
        self._timing = timing
        self._failures = 0

    def reset(self) -> None:
        """Begin anew: it went well."""
        self._failures = 0

    def pause(self, at_least: float = 0.0) -> float:
        """Note a failure, and return how long to wait now."""
        longest = min(self._timing.first * 2.0 ** min(self._failures, 16), self._timing.most)
        self._failures += 1
        return max(at_least, spread(longest))


def spread(seconds: float) -> float:
    """Return a time between half of what is given and all of it."""
    return seconds * random.uniform(0.5, 1.0)  # noqa: S311 - no secret
