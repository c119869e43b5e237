"""Policies and tiers (spec sections 1.3 to 1.6)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from pyxdp.model.rule import Action, Rule

if TYPE_CHECKING:
    from pyxdp.model.metadata import Metadata

__all__ = ["Action", "GlobalNetworkPolicy", "NetworkPolicy", "PolicyType", "StagedGlobalNetworkPolicy", "Tier"]


class PolicyType(Enum):
    """A direction that a policy applies to."""

    INGRESS = "Ingress"
    EGRESS = "Egress"


@dataclass(frozen=True, slots=True, kw_only=True)
class GlobalNetworkPolicy:
    """A policy for host endpoints and workloads.

    Attributes:
        tier: name of its tier.
        order: ascending; ``None`` comes last.
        types: never empty; inferred when the document gives none (spec section 3.3).
    """

    metadata: Metadata
    tier: str = "default"
    order: float | None = None
    ingress: tuple[Rule, ...] = ()
    egress: tuple[Rule, ...] = ()
    selector: str = ""
    types: tuple[PolicyType, ...] = (PolicyType.INGRESS,)
    doNotTrack: bool = False
    preDNAT: bool = False
    applyOnForward: bool = False
    serviceAccountSelector: str = ""
    namespaceSelector: str = ""
    performanceHints: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class StagedGlobalNetworkPolicy:
    """A policy on trial: listed and counted, never enforced.

    Attributes:
        stagedAction: ``Set``, ``Delete``, ``Learn`` or ``Ignore``.
        policy: the policy that it would be.
    """

    metadata: Metadata
    stagedAction: str
    policy: GlobalNetworkPolicy


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkPolicy:
    """A namespaced policy for workloads. It never applies to a host endpoint (spec section 1.4)."""

    metadata: Metadata
    tier: str = "default"
    order: float | None = None
    ingress: tuple[Rule, ...] = ()
    egress: tuple[Rule, ...] = ()
    selector: str = ""
    types: tuple[PolicyType, ...] = (PolicyType.INGRESS,)
    serviceAccountSelector: str = ""
    performanceHints: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Tier:
    """A named stage of policies.

    Attributes:
        order: ascending; 1,000,000 when not given.
        defaultAction: ``Action.DENY`` or ``Action.PASS``: what happens at the end of the tier.
    """

    metadata: Metadata
    order: float | None = 1_000_000.0
    defaultAction: Action = Action.DENY
