"""Everything the user wrote, by kind."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from pyxdp.model.config import FelixConfiguration, Namespace, Node
from pyxdp.model.endpoint import HostEndpoint, Profile
from pyxdp.model.policy import GlobalNetworkPolicy, NetworkPolicy, StagedGlobalNetworkPolicy, Tier
from pyxdp.model.sets import GlobalNetworkSet, NetworkSet

if TYPE_CHECKING:
    from collections.abc import Iterator

Resource: TypeAlias = (
    HostEndpoint
    | GlobalNetworkPolicy
    | StagedGlobalNetworkPolicy
    | NetworkPolicy
    | Tier
    | GlobalNetworkSet
    | NetworkSet
    | Profile
    | FelixConfiguration
    | Node
    | Namespace
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Resources:
    """All resources, each tuple sorted by (namespace, name) and without duplicates."""

    hostEndpoints: tuple[HostEndpoint, ...] = ()
    globalNetworkPolicies: tuple[GlobalNetworkPolicy, ...] = ()
    stagedGlobalNetworkPolicies: tuple[StagedGlobalNetworkPolicy, ...] = ()
    networkPolicies: tuple[NetworkPolicy, ...] = ()
    tiers: tuple[Tier, ...] = ()
    globalNetworkSets: tuple[GlobalNetworkSet, ...] = ()
    networkSets: tuple[NetworkSet, ...] = ()
    profiles: tuple[Profile, ...] = ()
    felixConfigurations: tuple[FelixConfiguration, ...] = ()
    nodes: tuple[Node, ...] = ()
    namespaces: tuple[Namespace, ...] = ()

    def __iter__(self) -> Iterator[Resource]:
        yield from self.hostEndpoints
        yield from self.globalNetworkPolicies
        yield from self.stagedGlobalNetworkPolicies
        yield from self.networkPolicies
        yield from self.tiers
        yield from self.globalNetworkSets
        yield from self.networkSets
        yield from self.profiles
        yield from self.felixConfigurations
        yield from self.nodes
        yield from self.namespaces
