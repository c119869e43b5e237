"""Which host endpoint governs an interface, in words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pyxdp.evaluator.endpoint import LOOPBACK, WILDCARD

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyxdp.evaluator import Governance
    from pyxdp.explanation.place import Place
    from pyxdp.model import HostEndpoint

_MOST: Final = 6
_WILD: Final = ", and workload interfaces need a pre-DNAT or forward policy for *"


def describe_governance(place: Place, found: Governance | None) -> str:
    """Say why no host endpoint governs an interface, or which others would; empty when neither is worth a word."""
    own = [endpoint for endpoint in place.resources.hostEndpoints if endpoint.node == place.node]
    fitting = [endpoint for endpoint in own if _fits(endpoint, place)]
    if found is not None:
        return _rivals(fitting, found.endpoint)
    if not own:
        return f"no HostEndpoint is for node {place.node}"
    names = ", ".join(endpoint.metadata.name for endpoint in fitting)
    if fitting and place.interface == LOOPBACK:
        return f"HostEndpoint/{names} (*) leaves lo out, and no other one names it"
    if fitting:
        wild = any(endpoint.interfaceName == WILDCARD for endpoint in fitting)
        return f"interfacePrefix or interfaceExclude keep {place.interface} out of HostEndpoint/{names}{_WILD * wild}"
    others = ", ".join(f"{endpoint.metadata.name} ({_claim(endpoint)})" for endpoint in own[:_MOST])
    more = f" and {len(own) - _MOST} more" if len(own) > _MOST else ""
    return f"no HostEndpoint of node {place.node} is for {place.interface}; there are: {others}{more}"


def _rivals(fitting: Sequence[HostEndpoint], winner: HostEndpoint) -> str:
    """Name the endpoints that fit as well; that a specific one displaces a ``*`` is no news."""
    rivals = [
        endpoint.metadata.name
        for endpoint in fitting
        if endpoint != winner and (endpoint.interfaceName == WILDCARD) == (winner.interfaceName == WILDCARD)
    ]
    if not rivals:
        return ""
    return f"HostEndpoint/{', '.join(rivals)} would govern it too, but {winner.metadata.name} comes first by name"


def _fits(endpoint: HostEndpoint, place: Place) -> bool:
    if endpoint.interfaceName:
        return endpoint.interfaceName in (place.interface, WILDCARD)
    addresses = {address for it in place.interfaces if it.name == place.interface for address in it.addresses}
    return not addresses.isdisjoint(endpoint.expectedIPs)


def _claim(endpoint: HostEndpoint) -> str:
    return endpoint.interfaceName or ", ".join(str(address) for address in endpoint.expectedIPs)
