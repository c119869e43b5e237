"""Short makers of model values, so that a test shows only what it is about."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING, Any

from pyxdp.model import (
    Action,
    EntityRule,
    GlobalNetworkPolicy,
    GlobalNetworkSet,
    HostEndpoint,
    Metadata,
    Namespace,
    NetworkSet,
    Profile,
    Resources,
    Rule,
    Tier,
)
from pyxdp.net import Interface, PortRange, Protocol
from pyxdp.net.prefixes import Prefixes
from pyxdp.net.values import PROTOCOL_NUMBERS
from pyxdp.resolver import Direction, PolicyClass, resolve

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pyxdp.resolver import EffectiveEndpoint, EffectivePolicy, EffectiveRule, EffectiveTier

NODE = "node-1"
ETH0 = Interface("eth0", 2, (ip_address("10.0.0.1"), ip_address("fd00::1")))
ETH1 = Interface("eth1", 3, (ip_address("10.0.1.1"),))
LO = Interface("lo", 1, (ip_address("127.0.0.1"), ip_address("::1")))

ALLOW = Rule(action=Action.ALLOW)
DENY = Rule(action=Action.DENY)


def metadata(name: str, labels: Mapping[str, str] | None = None, namespace: str = "") -> Metadata:
    return Metadata(name=name, namespace=namespace, labels=labels or {})


def host(
    name: str = "hep", *, interface: str = "", ips: str = "", labels: Mapping[str, str] | None = None, **fields: Any
) -> HostEndpoint:
    """Return an endpoint of this node; on eth0 when it says neither interface nor addresses."""
    return HostEndpoint(
        metadata=metadata(name, labels),
        node=fields.pop("node", NODE),
        interfaceName=interface if interface or ips else "eth0",
        expectedIPs=tuple(ip_address(address) for address in ips.split()),
        **fields,
    )


def policy(name: str = "policy", *rules: Rule, **fields: Any) -> GlobalNetworkPolicy:
    """Return an untracked ingress policy for everything."""
    given: dict[str, Any] = {"ingress": rules, "doNotTrack": True, "applyOnForward": True}
    return GlobalNetworkPolicy(metadata=metadata(name), **(given | fields))


def global_set(name: str, nets: str, labels: Mapping[str, str] | None = None) -> GlobalNetworkSet:
    return GlobalNetworkSet(metadata=metadata(name, labels), nets=Prefixes.of(networks(nets)))


def network_set(namespace: str, name: str, nets: str, labels: Mapping[str, str] | None = None) -> NetworkSet:
    return NetworkSet(metadata=metadata(name, labels, namespace), nets=Prefixes.of(networks(nets)))


def namespace(name: str, labels: Mapping[str, str] | None = None) -> Namespace:
    return Namespace(metadata=metadata(name, labels))


def tier(name: str, order: float | None = 1_000_000.0, default_action: Action = Action.DENY) -> Tier:
    return Tier(metadata=metadata(name), order=order, defaultAction=default_action)


def profile(name: str, *rules: Rule, labels: Mapping[str, str] | None = None, egress: tuple[Rule, ...] = ()) -> Profile:
    return Profile(metadata=metadata(name), ingress=rules, egress=egress, labelsToApply=labels or {})


def networks(text: str) -> tuple[Any, ...]:
    return tuple(ip_network(prefix) for prefix in text.split())


def entity(nets: str = "", not_nets: str = "", **fields: Any) -> EntityRule:
    return EntityRule(nets=networks(nets), notNets=networks(not_nets), **fields)


def rule(action: Action = Action.ALLOW, protocol: str | int | None = None, **fields: Any) -> Rule:
    return Rule(action=action, protocol=None if protocol is None else proto(protocol), **fields)


def proto(protocol: str | int) -> Protocol:
    return Protocol(protocol) if isinstance(protocol, int) else Protocol(PROTOCOL_NUMBERS[protocol], protocol)


def port(number: int) -> PortRange:
    return PortRange(number, number)


def effective(*resources: Any, interfaces: tuple[Interface, ...] = (LO, ETH0, ETH1), **more: Any) -> EffectivePolicy:
    """Resolve a few resources, given in any order, for this node."""
    fields = {
        HostEndpoint: "hostEndpoints",
        GlobalNetworkPolicy: "globalNetworkPolicies",
        GlobalNetworkSet: "globalNetworkSets",
        NetworkSet: "networkSets",
        Namespace: "namespaces",
        Profile: "profiles",
        Tier: "tiers",
    }
    given: dict[str, tuple[Any, ...]] = dict(more)
    for resource in resources:
        field = fields[type(resource)]
        given[field] = (*given.get(field, ()), resource)
    return resolve(replace(Resources(), **given), NODE, interfaces)


def only_endpoint(result: EffectivePolicy) -> EffectiveEndpoint:
    (endpoint,) = result.endpoints
    return endpoint


def tiers_of(
    result: EffectivePolicy,
    policy_class: PolicyClass = PolicyClass.UNTRACKED,
    direction: Direction = Direction.INGRESS,
) -> tuple[EffectiveTier, ...]:
    return only_endpoint(result).tiers.get((policy_class, direction), ())


def policy_names(result: EffectivePolicy, *where: Any) -> list[str]:
    """Return the names of a class and direction, in order; untracked ingress when not said otherwise."""
    return [one.name for tier in tiers_of(result, *where) for one in tier.policies]


def only_rule(result: EffectivePolicy) -> EffectiveRule:
    (tier,) = tiers_of(result)
    (applying,) = tier.policies
    (resolved,) = applying.rules
    return resolved


def source_sets(result: EffectivePolicy) -> list[list[str]]:
    """Return the members of the sets that the source of the only rule has to be in."""
    return [[str(network) for network in one.networks] for one in only_rule(result).source.sets]
