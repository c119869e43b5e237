"""Which host endpoint governs an interface, and in which classes, and settings (spec sections 1.11, 3.10 and 6)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeVar

from pyxdp.errors import UnknownInterfaceError
from pyxdp.evaluator.labels import endpoint_labels
from pyxdp.evaluator.membership import policy_selects
from pyxdp.evaluator.outcome import PolicyClass
from pyxdp.evaluator.tiers import policy_classes
from pyxdp.model import DEFAULT_FAILSAFE_INBOUND, DEFAULT_FAILSAFE_OUTBOUND

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from pyxdp.model import FailsafePort, FelixConfiguration, HostEndpoint, Resources
    from pyxdp.net import Interface

WILDCARD: Final = "*"
LOOPBACK: Final = "lo"
DEFAULT_INTERFACE_PREFIX: Final[tuple[str, ...]] = ("cali",)
DEFAULT_INTERFACE_EXCLUDE: Final[tuple[str, ...]] = ("kube-ipvs0",)

#: Classes of a ``*`` endpoint that apply to workload interfaces (spec section 3.10).
ON_WORKLOADS: Final = frozenset({PolicyClass.PRE_DNAT, PolicyClass.FORWARD})

_Value = TypeVar("_Value")


@dataclass(frozen=True, slots=True)
class Governance:
    """A host endpoint and the classes in which it governs an interface."""

    endpoint: HostEndpoint
    classes: frozenset[PolicyClass]


def governing_endpoint(
    resources: Resources, *, node: str, interfaces: Iterable[Interface], interface: str
) -> Governance | None:
    """Find the host endpoint that governs an interface (spec sections 3.10 and 6).

    Endpoints that name the interface and endpoints without a name that expect one of its addresses compete on equal
    terms; the smallest name wins. Only where there is none, the smallest-named ``*`` endpoint takes its place: in
    full on a host interface, and not at all on ``lo``. On a workload interface its pre-DNAT and forward policies apply;
    where it has none, nothing does.

    Raises:
        UnknownInterfaceError: no interface of that name was given.
    """
    found = next((candidate for candidate in interfaces if candidate.name == interface), None)
    if found is None:
        raise UnknownInterfaceError(interface)
    if _is_excluded(resources, node, interface):
        return None
    workload = _is_workload(resources, node, interface)
    own = [endpoint for endpoint in resources.hostEndpoints if endpoint.node == node]
    specific = [] if workload else [endpoint for endpoint in own if _matches(endpoint, found)]
    if specific:
        return Governance(_smallest_name(specific), frozenset(PolicyClass))
    wildcards = [endpoint for endpoint in own if endpoint.interfaceName == WILDCARD]
    if not wildcards or interface == LOOPBACK:
        return None
    wildcard = _smallest_name(wildcards)
    if not workload:
        return Governance(wildcard, frozenset(PolicyClass))
    return Governance(wildcard, ON_WORKLOADS) if _has_policy(resources, wildcard, ON_WORKLOADS) else None


def _has_policy(resources: Resources, endpoint: HostEndpoint, classes: frozenset[PolicyClass]) -> bool:
    labels = endpoint_labels(resources, endpoint)
    return any(
        policy_classes(policy) & classes and policy_selects(policy, labels)
        for policy in resources.globalNetworkPolicies
    )


def _matches(endpoint: HostEndpoint, interface: Interface) -> bool:
    if endpoint.interfaceName:
        return endpoint.interfaceName == interface.name
    return any(address in interface.addresses for address in endpoint.expectedIPs)


def _smallest_name(endpoints: Iterable[HostEndpoint]) -> HostEndpoint:
    return min(endpoints, key=lambda endpoint: endpoint.metadata.name.encode())


def _is_workload(resources: Resources, node: str, name: str) -> bool:
    prefixes = _setting(resources, node, lambda config: config.interfacePrefix, DEFAULT_INTERFACE_PREFIX)
    return any(name.startswith(prefix) for prefix in prefixes)


def _is_excluded(resources: Resources, node: str, name: str) -> bool:
    for pattern in _setting(resources, node, lambda config: config.interfaceExclude, DEFAULT_INTERFACE_EXCLUDE):
        regular = len(pattern) > 1 and pattern.startswith("/") and pattern.endswith("/")
        if re.search(pattern[1:-1], name) if regular else pattern == name:
            return True
    return False


def failsafe_ports(resources: Resources, node: str) -> tuple[tuple[FailsafePort, ...], tuple[FailsafePort, ...]]:
    """Return the inbound and the outbound failsafe ports of a node."""
    return (
        _setting(resources, node, lambda config: config.failsafeInboundHostPorts, DEFAULT_FAILSAFE_INBOUND),
        _setting(resources, node, lambda config: config.failsafeOutboundHostPorts, DEFAULT_FAILSAFE_OUTBOUND),
    )


def checks_invalid(resources: Resources, node: str) -> bool:
    """Tell whether a node drops what connection tracking finds invalid before policy is asked (spec section 3.6)."""
    return not _setting(resources, node, lambda config: config.disableConntrackInvalidCheck, default=False)


def _setting(
    resources: Resources, node: str, read: Callable[[FelixConfiguration], _Value | None], default: _Value
) -> _Value:
    for name in (f"node.{node}", "default"):
        for config in resources.felixConfigurations:
            value = read(config)
            if config.metadata.name == name and value is not None:
                return value
    return default
