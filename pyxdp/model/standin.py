"""Interfaces that stand in for those of host endpoints which name none, where no machine is asked."""

from __future__ import annotations

from itertools import count, islice
from typing import TYPE_CHECKING, Final

from pyxdp.net import Interface

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pyxdp.model.endpoint import HostEndpoint
    from pyxdp.net import Address

WILDCARD: Final = "*"
_INDEX: Final = 2
#: Settings of the node may leave some names out, but hardly all.
_STEMS: Final = ("eth", "test", "x")
_ATTEMPTS: Final = 6


def stand_ins(endpoint: HostEndpoint, endpoints: Iterable[HostEndpoint]) -> Iterator[Interface]:
    """Yield interfaces that a host endpoint without an interface's name may govern; never none.

    Each has a name that no host endpoint of the node gives and, unless the endpoint is ``*``, addresses that it
    expects: all of them, or else one, since another endpoint, which has the smaller name, may expect some too.

    Args:
        endpoint: says ``*``, or expectedIPs alone.
        endpoints: of the whole cluster.
    """
    taken = {it.interfaceName for it in endpoints if it.node == endpoint.node}
    names = (f"{stem}{number}" for number in count() for stem in _STEMS)
    free = list(islice((name for name in names if name not in taken), _ATTEMPTS))
    return (Interface(name, _INDEX, addresses) for addresses in _addresses(endpoint) for name in free)


def _addresses(endpoint: HostEndpoint) -> list[tuple[Address, ...]]:
    if endpoint.interfaceName == WILDCARD:
        return [()]
    return [endpoint.expectedIPs, *((address,) for address in endpoint.expectedIPs)]
