"""What is kept from one resolution to the next, and from one compilation to the next."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

K = TypeVar("K")
V = TypeVar("V")


class Memory(Generic[K, V]):
    """What was asked for since the last but one :meth:`turn`. Keys may hold the ``id()`` of what values keep alive."""

    def __init__(self) -> None:
        self._now: dict[K, V] = {}
        self._before: dict[K, V] = {}

    def turn(self, spare: int = 0) -> None:
        """Begin anew; what is not asked for until the next time is forgotten then.

        Args:
            spare: so many values may stay that nobody asks for.
        """
        if len(self._now) + len(self._before) > spare:
            self._before, self._now = self._now, {}

    def clear(self) -> None:
        """Forget everything."""
        self._before, self._now = {}, {}

    def get(self, key: K, make: Callable[[], V]) -> V:
        """Return what is known, or make it."""
        found = self._now.get(key)
        if found is None:
            found = self._before.get(key)
            self._now[key] = found = make() if found is None else found
        return found

    def update(self, key: K, make: Callable[[V | None], V]) -> V:
        """Return what was asked for already, or else what is made of what was known before the last turn."""
        found = self._now.get(key)
        if found is None:
            found = self._now[key] = make(self._before.get(key))
        return found

    def keep(self, values: Mapping[K, V]) -> None:
        """Take values in as if they had been asked for."""
        self._now.update(values)


def are_same(some: Iterable[object], others: Iterable[object]) -> bool:
    """Tell whether these are the very same objects, one by one."""
    return [*map(id, some)] == [*map(id, others)]
