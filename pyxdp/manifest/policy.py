"""Readers of policies and tiers (spec sections 1.3 to 1.6)."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Final, NamedTuple

from pyxdp.manifest.names import dns_label
from pyxdp.manifest.nodes import Meaning, Scalar, is_empty
from pyxdp.manifest.readers import boolean, number, one_of, optional, unique
from pyxdp.manifest.rule import rules
from pyxdp.manifest.values import selector
from pyxdp.model import Action, GlobalNetworkPolicy, NetworkPolicy, PolicyType, StagedGlobalNetworkPolicy, Tier

if TYPE_CHECKING:
    from pyxdp.manifest.place import Fields, Place
    from pyxdp.model import Metadata, Rule

DEFAULT_TIER: Final = "default"
DEFAULT_ORDER: Final = 1_000_000.0

#: The tiers that always exist, with the only order and default action that they may have.
BUILT_IN_TIERS: Final = {
    "default": (DEFAULT_ORDER, Action.DENY),
    "kube-admin": (1_000.0, Action.PASS),
    "kube-baseline": (10_000_000.0, Action.PASS),
}

#: Fields that only cluster-scoped policies have, with what to say about them in a NetworkPolicy.
ONLY_GLOBAL: Final = dict.fromkeys(
    ("doNotTrack", "preDNAT", "applyOnForward", "namespaceSelector"),
    "only a GlobalNetworkPolicy has this field; a NetworkPolicy never applies to a host endpoint",
)


class _Hint(Enum):
    ASSUME_NEEDED_ON_EVERY_NODE = "AssumeNeededOnEveryNode"


class _StagedAction(Enum):
    SET = "Set"
    DELETE = "Delete"
    LEARN = "Learn"
    IGNORE = "Ignore"


class _Common(NamedTuple):
    """What every policy has."""

    tier: str
    order: float | None
    ingress: tuple[Rule, ...]
    egress: tuple[Rule, ...]
    selector: str
    types: tuple[PolicyType, ...]
    serviceAccountSelector: str
    performanceHints: tuple[str, ...]


def global_network_policy(metadata: Metadata, spec: Fields) -> GlobalNetworkPolicy:
    """Read the spec of a GlobalNetworkPolicy."""
    common = _common(spec, namespaced=False)
    policy = GlobalNetworkPolicy(
        metadata=metadata,
        **common._asdict(),
        doNotTrack=spec.read("doNotTrack", boolean, default=False),
        preDNAT=spec.read("preDNAT", boolean, default=False),
        applyOnForward=spec.read("applyOnForward", boolean, default=False),
        namespaceSelector=spec.read("namespaceSelector", selector, ""),
    )
    _check_class(spec, policy)
    return policy


def staged_global_network_policy(metadata: Metadata, spec: Fields) -> StagedGlobalNetworkPolicy:
    """Read the spec of a StagedGlobalNetworkPolicy."""
    action = spec.read("stagedAction", one_of(*_StagedAction), _StagedAction.SET)
    policy = global_network_policy(metadata, spec)
    if action is _StagedAction.DELETE:
        for name in spec.entries:
            place = spec.place(name) if name in spec.known and name not in ("stagedAction", "tier") else None
            if place and not is_empty(place.node):
                place.problem("with `stagedAction: Delete` no field but `tier` may be given: remove it")
    return StagedGlobalNetworkPolicy(metadata=metadata, stagedAction=action.value, policy=policy)


def network_policy(metadata: Metadata, spec: Fields) -> NetworkPolicy:
    """Read the spec of a NetworkPolicy."""
    return NetworkPolicy(metadata=metadata, **_common(spec, namespaced=True)._asdict())


def tier(metadata: Metadata, spec: Fields) -> Tier:
    """Read the spec of a Tier."""
    order = spec.read("order", number, DEFAULT_ORDER)
    action = spec.read("defaultAction", one_of(Action.PASS, Action.DENY), Action.DENY)
    wanted = BUILT_IN_TIERS.get(metadata.name)
    if wanted and (order, action) != wanted:
        place = spec.place("order") if order != wanted[0] else spec.place("defaultAction")
        (place or spec.at).problem(
            f"the tier {metadata.name} is built in: its order is {wanted[0]:.0f}, its defaultAction {wanted[1].value}"
        )
    return Tier(metadata=metadata, order=order, defaultAction=action)


def _common(spec: Fields, *, namespaced: bool) -> _Common:
    ingress, egress = rules(spec, namespaced=namespaced)
    return _Common(
        tier=spec.read("tier", optional(dns_label), DEFAULT_TIER),
        order=spec.read("order", number, None),
        ingress=ingress,
        egress=egress,
        selector=spec.read("selector", selector, ""),
        types=spec.read("types", unique(one_of(*PolicyType)), ()) or _inferred_types(ingress, egress),
        serviceAccountSelector=spec.read("serviceAccountSelector", selector, ""),
        performanceHints=tuple(hint.value for hint in spec.read("performanceHints", unique(one_of(*_Hint)), ())),
    )


def _inferred_types(ingress: tuple[Rule, ...], egress: tuple[Rule, ...]) -> tuple[PolicyType, ...]:
    """Spec section 3.3: the directions that have rules, and ingress when none has."""
    if not egress:
        return (PolicyType.INGRESS,)
    return (PolicyType.INGRESS, PolicyType.EGRESS) if ingress else (PolicyType.EGRESS,)


def _check_class(spec: Fields, policy: GlobalNetworkPolicy) -> None:
    """Check the fields that say when a policy is judged (spec section 1.3)."""
    pre_dnat, do_not_track = spec.place("preDNAT"), spec.place("doNotTrack")
    if pre_dnat and policy.preDNAT and policy.doNotTrack:
        pre_dnat.problem("a policy can not be both preDNAT and doNotTrack: remove one")
    for place, name in ((pre_dnat, "preDNAT"), (do_not_track, "doNotTrack")):
        if place and getattr(policy, name) and not policy.applyOnForward and _is_false(spec.place("applyOnForward")):
            place.problem(f"{name} needs `applyOnForward: true`")
    if policy.preDNAT:
        egress, types = spec.place("egress"), spec.place("types")
        if egress and not is_empty(egress.node):
            egress.problem("a preDNAT policy has no egress rules: addresses are translated on the way in")
        if types and PolicyType.EGRESS in policy.types:
            types.problem("a preDNAT policy can not have the type Egress: write [Ingress]")


def _is_false(place: Place | None) -> bool:
    """Whether a boolean is false or not given, rather than wrong."""
    return place is None or (isinstance(place.node, Scalar) and place.node.meaning is Meaning.BOOLEAN)
