"""The policy of every host endpoint of every node, without asking any machine for its interfaces.

What applies to a host endpoint depends on its labels and profiles, and on its node only for the failsafe ports. So all
nodes with the same failsafe ports are resolved as one, in which each host endpoint has an interface of its own, and
endpoints to which the very same rules apply are looked at once, together.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final, TypeAlias

from pyxdp.errors import UnsupportedPolicyError
from pyxdp.lint.finding import IGNORE_ANNOTATION
from pyxdp.model import FelixConfiguration, HostEndpoint, Metadata, Resources
from pyxdp.net import Interface
from pyxdp.resolver import Direction, Resolver, resolve

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pyxdp.model import FailsafePort, GlobalNetworkPolicy, Profile, Rule
    from pyxdp.resolver import EffectiveEndpoint, EffectivePolicy, RuleId

Failsafes: TypeAlias = "tuple[tuple[FailsafePort, ...], tuple[FailsafePort, ...]]"

NODE: Final = "node"


@dataclass(frozen=True, slots=True)
class Shape:
    """Host endpoints to which the same rules apply, in the same order.

    Attributes:
        endpoints: as written, sorted by name; never empty.
        effective: what applies to each of them.
        failsafes: inbound and outbound.
    """

    endpoints: tuple[HostEndpoint, ...]
    effective: EffectiveEndpoint
    failsafes: Failsafes

    @property
    def name(self) -> str:
        """The first of the host endpoints."""
        return f"HostEndpoint/{self.endpoints[0].metadata.name}"


@dataclass(frozen=True, slots=True)
class World:
    """Everything there is to say something about.

    Attributes:
        resources: as written.
        shapes: by the name of their first host endpoint.
        loose: each policy that selects no host endpoint, alone on an endpoint without a name.
        refused: ``(kind/name, reason)`` of policies that can not be enforced; left out of everything else.
        owners: policies and profiles as written, by kind and name.
        resolver: it knows the rules already.
    """

    resources: Resources
    shapes: tuple[Shape, ...] = ()
    loose: tuple[Shape, ...] = ()
    refused: tuple[tuple[str, str], ...] = ()
    owners: Mapping[tuple[str, str], GlobalNetworkPolicy | Profile] = field(default_factory=dict)
    resolver: Resolver = field(default_factory=Resolver, compare=False, repr=False)

    def rule(self, rule: RuleId) -> Rule | None:
        """Return a rule as it was written; ``None`` when Calico makes it itself."""
        owner = self.owners.get((rule.kind, rule.policy))
        if owner is None:
            return None
        return (owner.ingress if rule.direction is Direction.INGRESS else owner.egress)[rule.index]


def make_world(resources: Resources, refused: tuple[tuple[str, str], ...] = ()) -> World:
    """Resolve everything that can be; ``refused`` has been left out already.

    Raises:
        UnsupportedPolicyError: something that is no policy or profile can not be understood.
    """
    try:
        return _world(resources, refused)
    except UnsupportedPolicyError as error:
        fewer = _without(resources, {name for name, _ in error.policies})
        if fewer == resources:
            raise
        return make_world(fewer, (*refused, *error.policies))


def _without(resources: Resources, names: set[str]) -> Resources:
    """Leave out policies and profiles, named ``Kind/name``."""
    return replace(
        resources,
        globalNetworkPolicies=tuple(
            it for it in resources.globalNetworkPolicies if f"GlobalNetworkPolicy/{it.metadata.name}" not in names
        ),
        profiles=tuple(it for it in resources.profiles if f"Profile/{it.metadata.name}" not in names),
    )


def effective_policy(resources: Resources, resolver: Resolver) -> EffectivePolicy:
    """Resolve host endpoints as if all were of one node and had an interface each, ``ifN`` for the N-th."""
    renamed = tuple(
        replace(endpoint, node=NODE, interfaceName=f"if{number}")
        for number, endpoint in enumerate(resources.hostEndpoints)
    )
    staged = replace(resources, hostEndpoints=renamed, felixConfigurations=_unrestricted())
    interfaces = [Interface(endpoint.interfaceName, number + 1) for number, endpoint in enumerate(renamed)]
    return resolver.resolve(staged, NODE, interfaces)


def _world(resources: Resources, refused: tuple[tuple[str, str], ...]) -> World:
    resolver, endpoints = Resolver(), resources.hostEndpoints
    policy = effective_policy(resources, resolver)
    failsafes = {node: node_failsafes(resources, node) for node in sorted({it.node for it in endpoints})}
    members: dict[tuple[object, ...], list[HostEndpoint]] = defaultdict(list)
    representatives: dict[tuple[object, ...], EffectiveEndpoint] = {}
    for effective in policy.endpoints:
        endpoint = endpoints[int(effective.interface.name.removeprefix("if"))]
        ignored = endpoint.metadata.annotations.get(IGNORE_ANNOTATION)
        key = (ignored, failsafes[endpoint.node], *_identity(effective))
        members[key].append(endpoint)
        representatives.setdefault(key, effective)
    shapes = (
        Shape(tuple(sorted(found, key=_name)), representatives[key], failsafes[found[0].node])
        for key, found in members.items()
    )
    owners: dict[tuple[str, str], GlobalNetworkPolicy | Profile] = {
        ("GlobalNetworkPolicy", it.metadata.name): it for it in resources.globalNetworkPolicies
    }
    owners.update((("Profile", it.metadata.name), it) for it in resources.profiles)
    return World(
        resources,
        tuple(sorted(shapes, key=lambda shape: shape.endpoints[0].metadata.name)),
        tuple(_loose(resources, policy)),
        refused,
        owners,
        resolver,
    )


def _name(endpoint: HostEndpoint) -> str:
    return endpoint.metadata.name


def _identity(endpoint: EffectiveEndpoint) -> tuple[object, ...]:
    """Return what two endpoints have in common when the same rules apply; the resolver shares resolved policies."""
    tiers = tuple(
        (key, tuple((tier.name, tier.defaultAction, tuple(map(id, tier.policies))) for tier in entries))
        for key, entries in sorted(endpoint.tiers.items(), key=lambda item: (item[0][0].value, item[0][1].value))
    )
    profiles = tuple((direction, tuple(map(id, entries))) for direction, entries in endpoint.profiles.items())
    return tiers, profiles


def node_failsafes(resources: Resources, node: str) -> Failsafes:
    """Return the failsafe ports that hold on a node."""
    policy = resolve(Resources(felixConfigurations=resources.felixConfigurations), node, ())
    return policy.failsafe_inbound, policy.failsafe_outbound


def _unrestricted() -> tuple[FelixConfiguration, ...]:
    """Return a configuration by which no interface is left out of host policy."""
    return (FelixConfiguration(metadata=Metadata(name="default"), interfacePrefix=(), interfaceExclude=()),)


def _loose(resources: Resources, policy: EffectivePolicy) -> Iterator[Shape]:
    """Yield each policy that selects no host endpoint, as if it selected one that no other policy selects."""
    used = {
        one.name
        for endpoint in policy.endpoints
        for tiers in endpoint.tiers.values()
        for tier in tiers
        for one in tier.policies
        if not one.staged
    }
    unused = tuple(
        replace(it, selector="", namespaceSelector="", serviceAccountSelector="")
        for it in resources.globalNetworkPolicies
        if it.metadata.name not in used
    )
    if not unused:
        return
    nameless = HostEndpoint(metadata=Metadata(name=""), node=NODE, interfaceName="loose")
    staged = replace(
        resources,
        globalNetworkPolicies=unused,
        stagedGlobalNetworkPolicies=(),
        felixConfigurations=_unrestricted(),
        hostEndpoints=(*(replace(it, node="") for it in resources.hostEndpoints), nameless),
    )
    together = resolve(staged, NODE, [Interface("loose", 1)]).endpoints[0]
    for one in unused:
        tiers = {
            key: tuple(
                replace(tier, policies=alone)
                for tier in entries
                if (alone := tuple(it for it in tier.policies if it.name == one.metadata.name))
            )
            for key, entries in together.tiers.items()
        }
        yield Shape((nameless,), replace(together, tiers={key: it for key, it in tiers.items() if it}), ((), ()))
