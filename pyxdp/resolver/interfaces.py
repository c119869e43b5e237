"""Which interface a host endpoint governs (spec section 6)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pyxdp.net import Interface
from pyxdp.resolver.effective import EndpointResolution, EndpointState

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from pyxdp.model import HostEndpoint
    from pyxdp.net import Address
    from pyxdp.resolver.configuration import NodeConfiguration

WILDCARD: Final = "*"

# A wildcard endpoint does not close the host's talk with itself (spec section 11); one that names lo does.
_LOOPBACK: Final = "lo"

# A pattern is a prefix with a + behind it, and no longer than a name.
_LONGEST_NAME: Final = 15


@dataclass(frozen=True, slots=True)
class Assignment:
    """Who governs what.

    Attributes:
        governed: the host endpoint of each governed interface, sorted by interface name.
        wildcard: the one that governs what is left, if there is one.
        resolutions: what became of each host endpoint, sorted by name.
    """

    governed: tuple[tuple[HostEndpoint, Interface], ...]
    wildcard: HostEndpoint | None
    resolutions: tuple[EndpointResolution, ...]


def assign(
    endpoints: Iterable[HostEndpoint], interfaces: Sequence[Interface], configuration: NodeConfiguration
) -> Assignment:
    """Decide which of a node's host endpoints governs which interface.

    The smallest name wins; a name match is worth no more than an address match. Wildcard endpoints take what is left.
    """
    ordered = sorted(endpoints, key=lambda endpoint: endpoint.metadata.name)
    specific = [endpoint for endpoint in ordered if endpoint.interfaceName != WILDCARD]
    wildcard = next((endpoint for endpoint in ordered if endpoint.interfaceName == WILDCARD), None)
    governed: dict[str, tuple[HostEndpoint, Interface]] = {}
    for interface in interfaces:
        if configuration.exclusion(interface.name):
            continue
        winner = next((endpoint for endpoint in specific if _matches(endpoint, interface)), None)
        if winner is None and interface.name != _LOOPBACK:
            winner = wildcard
        if winner is not None:
            governed[interface.name] = (winner, interface)
    resolutions = (_resolution(endpoint, wildcard, governed, interfaces, configuration) for endpoint in ordered)
    return Assignment(tuple(governed[name] for name in sorted(governed)), wildcard, tuple(resolutions))


def workload_interfaces(prefixes: Iterable[str], notices: set[str]) -> tuple[Interface, ...]:
    """Return one stand-in for all workload interfaces of each prefix, named as iptables writes name patterns.

    There may be thousands of them, and they come and go with their workloads: nobody lists them.
    """
    shortest: list[str] = []
    for prefix in sorted(prefixes):
        if len(prefix) >= _LONGEST_NAME:
            notices.add(f"HostEndpoint: interfacePrefix {prefix} leaves no room for a pattern: * does not reach it")
        elif not any(prefix.startswith(other) for other in shortest):
            shortest.append(prefix)
    return tuple(Interface(f"{prefix}+", 0) for prefix in shortest)


def _matches(endpoint: HostEndpoint, interface: Interface) -> bool:
    if endpoint.interfaceName:
        return endpoint.interfaceName == interface.name
    return _has_expected_address(endpoint, interface)


def _has_expected_address(endpoint: HostEndpoint, interface: Interface) -> bool:
    return not _plain(endpoint.expectedIPs).isdisjoint(_plain(interface.addresses))


def _plain(addresses: Iterable[Address]) -> set[tuple[int, int]]:
    """Return addresses without the scope (``%eth0``) that the kernel's link-local ones may come with."""
    return {(address.version, int(address)) for address in addresses}


def _resolution(
    endpoint: HostEndpoint,
    wildcard: HostEndpoint | None,
    governed: Mapping[str, tuple[HostEndpoint, Interface]],
    interfaces: Sequence[Interface],
    configuration: NodeConfiguration,
) -> EndpointResolution:
    name = endpoint.metadata.name
    mine = tuple(sorted(interface.name for owner, interface in governed.values() if owner is endpoint))
    if mine:
        return EndpointResolution(name, EndpointState.ACTIVE, mine)
    if endpoint.interfaceName == WILDCARD:
        return _idle_wildcard(name, wildcard, governed)
    lost = sorted(interface.name for interface in interfaces if _matches(endpoint, interface))
    winners = [f"{governed[other][0].metadata.name} governs {other}" for other in lost if other in governed]
    if winners:
        detail = f"{'; '.join(winners)}: of several host endpoints the smallest name wins"
        return EndpointResolution(name, EndpointState.SHADOWED, (), detail)
    return EndpointResolution(name, EndpointState.NO_INTERFACE, (), _missing(endpoint, lost, interfaces, configuration))


def _idle_wildcard(
    name: str, wildcard: HostEndpoint | None, governed: Mapping[str, tuple[HostEndpoint, Interface]]
) -> EndpointResolution:
    if wildcard is not None and wildcard.metadata.name != name:
        detail = f"{wildcard.metadata.name} is the wildcard: of several the smallest name wins"
        return EndpointResolution(name, EndpointState.SHADOWED, (), detail)
    if governed:
        detail = "every interface has a host endpoint of its own"
        return EndpointResolution(name, EndpointState.SHADOWED, (), detail)
    return EndpointResolution(name, EndpointState.NO_INTERFACE, (), "the node has no interface that * covers")


def _missing(
    endpoint: HostEndpoint,
    excluded: Sequence[str],
    interfaces: Sequence[Interface],
    configuration: NodeConfiguration,
) -> str:
    """Return why no interface matches; ``excluded`` are those that would if they were not left out."""
    if excluded:
        return "; ".join(configuration.exclusion(interface) for interface in excluded)
    addresses = ", ".join(str(address) for address in endpoint.expectedIPs)
    if not endpoint.interfaceName:
        return f"no interface has one of the addresses {addresses}"
    elsewhere = sorted(interface.name for interface in interfaces if _has_expected_address(endpoint, interface))
    if elsewhere:
        found = f"; its expectedIPs are on {', '.join(elsewhere)}, but do not count when interfaceName is given"
        return f"no interface is named {endpoint.interfaceName}{found}"
    return f"no interface is named {endpoint.interfaceName}"
