"""Calico's resources in Calico's words: frozen values, no I/O, no policy logic.

Field names are Calico's own spelling. Values are already valid: :mod:`pyxdp.manifest` is the only maker of them that
reads text, and it applies every rule of the resource reference before it builds one.
"""

from __future__ import annotations

from pyxdp.model.config import (
    DEFAULT_FAILSAFE_INBOUND,
    DEFAULT_FAILSAFE_OUTBOUND,
    FailsafePort,
    FelixConfiguration,
    Namespace,
    Node,
)
from pyxdp.model.endpoint import EndpointPort, HostEndpoint, Profile
from pyxdp.model.metadata import Metadata, Origin
from pyxdp.model.policy import (
    Action,
    GlobalNetworkPolicy,
    NetworkPolicy,
    PolicyType,
    StagedGlobalNetworkPolicy,
    Tier,
)
from pyxdp.model.resources import Resource, Resources
from pyxdp.model.rule import EntityRule, IcmpMatch, Rule, ServiceAccountMatch, ServiceMatch
from pyxdp.model.sets import GlobalNetworkSet, NetworkSet

__all__ = [
    "DEFAULT_FAILSAFE_INBOUND",
    "DEFAULT_FAILSAFE_OUTBOUND",
    "Action",
    "EndpointPort",
    "EntityRule",
    "FailsafePort",
    "FelixConfiguration",
    "GlobalNetworkPolicy",
    "GlobalNetworkSet",
    "HostEndpoint",
    "IcmpMatch",
    "Metadata",
    "Namespace",
    "NetworkPolicy",
    "NetworkSet",
    "Node",
    "Origin",
    "PolicyType",
    "Profile",
    "Resource",
    "Resources",
    "Rule",
    "ServiceAccountMatch",
    "ServiceMatch",
    "StagedGlobalNetworkPolicy",
    "Tier",
]
