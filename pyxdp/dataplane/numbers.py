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
_HINT_RULES: Final = (
    "rules that differ in addresses only can be one, with a network set; apply fewer rules first, then more"
)
_HINT_ENDPOINTS: Final = (
    "name fewer interfaces in the HostEndpoints of this node, or let go of some with an apply first"
)


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
        what = "rules of all policies together, those in force until the switch included"
        return planner.assign(known, identities, limit=MAX_COUNTERS, what=what, hint=_HINT_RULES)

    def endpoints(self, names: Iterable[str]) -> dict[str, int]:
        """Return the endpoint number of each interface.

        Raises:
            CapacityError: there are too many.
        """
        known, limit = planner.known_numbers(self._state, self._ifindexes), int(Limit.ENDPOINTS)
        what, taken = "governed interfaces, those in force until the switch included", self._state.endpoints
        return planner.assign(known, names, limit=limit, what=what, taken=taken, hint=_HINT_ENDPOINTS)
