"""From everything that was written to what one node enforces."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyxdp.errors import UnsupportedPolicyError
from pyxdp.resolver.configuration import node_configuration
from pyxdp.resolver.effective import EffectivePolicy, EndpointResolution, EndpointState
from pyxdp.resolver.endpoints import EndpointResolver
from pyxdp.resolver.interfaces import assign, workload_interfaces
from pyxdp.resolver.memory import are_same
from pyxdp.resolver.notices import listing

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pyxdp.model import Resources
    from pyxdp.net import Interface
    from pyxdp.resolver.configuration import NodeConfiguration
    from pyxdp.resolver.effective import EffectiveEndpoint
    from pyxdp.resolver.interfaces import Assignment


def resolve(resources: Resources, node: str, interfaces: Sequence[Interface]) -> EffectivePolicy:
    """Return what a node has to enforce on its interfaces.

    The same resources in another order give an equal result.

    Args:
        resources: of the whole cluster; selectors look at all of them.
        node: the node's name, as ``spec.node`` of its host endpoints has it.
        interfaces: of the node, with their addresses.

    Raises:
        UnsupportedPolicyError: a rule in use matches Kubernetes services, or interfaceExclude is malformed.
        SelectorSyntaxError: a selector that was not checked when the resource was made.
    """
    return Resolver().resolve(resources, node, interfaces)


class Resolver:
    """Resolves again and again; what is the same as the last time takes next to no time.

    The results are those of :func:`resolve`. Besides, every part of a result (endpoint, tier, policy, rule, address
    set) is the very object that it was in the last one unless it is another value, provided that the resources that it
    comes from are the same objects, too. So the next step may recognize what it knows by identity.
    """

    def __init__(self) -> None:
        self._resolver = EndpointResolver()
        self._last: EffectivePolicy | None = None

    def resolve(self, resources: Resources, node: str, interfaces: Sequence[Interface]) -> EffectivePolicy:
        """Return what a node has to enforce on its interfaces; see :func:`resolve`."""
        notices: set[str] = set()
        configuration = node_configuration(resources.felixConfigurations, node, notices)
        mine = [endpoint for endpoint in resources.hostEndpoints if endpoint.node == node]
        assignment = assign(mine, interfaces, configuration)
        resolver = self._resolver
        resolver.turn(resources)
        endpoints = _endpoints(resolver, assignment, interfaces, configuration, notices)
        if resolver.refused:
            raise UnsupportedPolicyError(resolver.refused, hint="write the service's addresses as nets or a set")
        resolutions = tuple(_with_workloads(one, endpoints) for one in assignment.resolutions)
        active = {one.name for one in resolutions if one.state is EndpointState.ACTIVE}
        resolver.note_idle_policies([endpoint for endpoint in mine if endpoint.metadata.name in active])
        _note_what_is_elsewhere(resources, node, notices)
        found = EffectivePolicy(
            node=node,
            endpoints=endpoints,
            failsafe_inbound=configuration.failsafe_inbound,
            failsafe_outbound=configuration.failsafe_outbound,
            actions=configuration.actions,
            log_prefix=configuration.log_prefix,
            resolutions=resolutions,
            notices=tuple(sorted(notices | resolver.notices)),
        )
        if self._last is None or not are_same(found.endpoints, self._last.endpoints) or found != self._last:
            self._last = found
        return self._last


def _endpoints(
    resolver: EndpointResolver,
    assignment: Assignment,
    interfaces: Sequence[Interface],
    configuration: NodeConfiguration,
    notices: set[str],
) -> tuple[EffectiveEndpoint, ...]:
    parents = {interface.parent for interface in interfaces if interface.parent}
    endpoints = [
        resolver.endpoint(endpoint, interface, vlans=interface.index in parents)
        for endpoint, interface in assignment.governed
    ]
    if assignment.wildcard is not None:
        stand_ins = workload_interfaces(configuration.interface_prefix, notices)
        found = (resolver.workloads(assignment.wildcard, interface) for interface in stand_ins)
        endpoints += [endpoint for endpoint in found if endpoint]
    return tuple(sorted(endpoints, key=lambda endpoint: endpoint.interface.name))


def _with_workloads(found: EndpointResolution, endpoints: Iterable[EffectiveEndpoint]) -> EndpointResolution:
    names = [one.interface.name for one in endpoints if one.workloads and one.name == found.name]
    if not names:
        return found
    return EndpointResolution(found.name, EndpointState.ACTIVE, tuple(sorted((*found.interfaces, *names))))


def _note_what_is_elsewhere(resources: Resources, node: str, notices: set[str]) -> None:
    if resources.networkPolicies:
        names = (f"{policy.metadata.namespace}/{policy.metadata.name}" for policy in resources.networkPolicies)
        notices.add(f"NetworkPolicy: never applies to host endpoints: {listing(names)}")
    nodes = {endpoint.node for endpoint in resources.hostEndpoints}
    if nodes and node not in nodes:
        notices.add(f"HostEndpoint: none is for node {node}; they are for {listing(nodes)}")
