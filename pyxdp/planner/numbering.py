"""Numbers that stay: counter indexes of rule identities, endpoint numbers of interfaces."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from pyxdp.errors import CapacityError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

K = TypeVar("K")


def assign(  # noqa: PLR0913 - settings, each by its name
    existing: Mapping[K, int],
    wanted: Iterable[K],
    *,
    limit: int,
    what: str,
    taken: Iterable[int] = (),
    hint: str = "",
) -> dict[K, int]:
    """Give each wanted key a number: the one that it has, or the lowest that nobody has.

    A number whose key is no longer wanted is not given away: until the next switch the active slot still uses it.

    Args:
        existing: numbers that keys have.
        wanted: without duplicates; their order decides who gets which new number.
        limit: numbers are below it.
        what: of the numbered things, for the error.
        taken: further numbers that are in use.
        hint: for the error.

    Raises:
        CapacityError: there are not enough numbers.
    """
    taken = {*existing.values(), *taken}
    free = (number for number in range(limit) if number not in taken)
    wanted = list(wanted)
    assigned: dict[K, int] = {}
    for key in wanted:
        number = existing[key] if key in existing else next(free, None)
        if number is None:
            needed = len(taken | set(assigned.values())) + sum(other not in assigned for other in wanted)
            raise CapacityError(what, needed=needed, limit=limit, hint=hint)
        assigned[key] = number
    return assigned
