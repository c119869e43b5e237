"""Numbers for the compiler: what lives on keeps its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pyxdp import planner
from pyxdp.abi import Limit

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pyxdp.planner import State

#: Identities that one image can have; the maps for them grow with their number.
MAX_COUNTERS: Final = 1 << 20


class KnownNumbers:
    """Numbers that are in use, and the lowest free ones for what is new; see :class:`pyxdp.compiler.Numbers`.

    Args:
        state: what there is.
        ifindexes: of the interfaces that there are, by the names that they have now.
    """

    def __init__(self, state: State, ifindexes: Mapping[str, int]) -> None:
        self._state = state
        self._ifindexes = ifindexes

    def counters(self, identities: Iterable[int]) -> dict[int, int]:
        """Return the counter index of each identity.

        Raises:
            CapacityError: there are too many.
        """
        known = {name.identity: index for index, name in self._state.names.items()}
        return planner.assign(known, identities, limit=MAX_COUNTERS, what="rules of all policies together")

    def endpoints(self, names: Iterable[str]) -> dict[str, int]:
        """Return the endpoint number of each interface.

        Raises:
            CapacityError: there are too many.
        """
        known, limit = planner.known_numbers(self._state, self._ifindexes), int(Limit.ENDPOINTS)
        return planner.assign(known, names, limit=limit, what="governed interfaces", taken=self._state.endpoints)
