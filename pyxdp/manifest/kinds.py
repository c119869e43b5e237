"""Which kinds of resource there are, and how one is read.

Calico's kinds are read strictly: an unknown field is a problem. Node, Namespace and Pod are read for their labels and
addresses, and what else Kubernetes keeps in them is left alone.

Calico's kinds that say nothing about host policy (:data:`WITHOUT_EFFECT`) are accepted with a notice, so that a whole
cluster's export is a manifest. Every other kind is a problem: to leave out what somebody wrote to protect a host would
be worse than to refuse it. That includes WorkloadEndpoint, whose addresses selectors would have to see.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from pyxdp.manifest import config, endpoint, policy, sets
from pyxdp.manifest.metadata import STORED_METADATA, Naming, read_metadata, stored_name
from pyxdp.manifest.names import dns_label, namespaced_policy_name, policy_name
from pyxdp.model import GlobalNetworkPolicy, NetworkPolicy, StagedGlobalNetworkPolicy

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pyxdp.manifest.place import Fields, Place
    from pyxdp.model import Metadata, Resource

CALICO: Final = "projectcalico.org/v3"
STORED: Final = "crd.projectcalico.org/v1"
KUBERNETES: Final = "v1"

_WITHOUT_EFFECT: Final = """
BGPConfiguration BGPFilter BGPPeer BlockAffinity CalicoNodeStatus ClusterInformation DatastoreMigration
IPAMBlock IPAMConfig IPAMConfiguration IPAMHandle IPPool IPReservation KubeControllersConfiguration QoSPolicy
StagedKubernetesNetworkPolicy StagedNetworkPolicy
"""

WITHOUT_EFFECT: Final = frozenset(_WITHOUT_EFFECT.split())


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """A kind of resource.

    Attributes:
        collection: its field in :class:`~pyxdp.model.Resources`.
        read: makes the resource of its metadata and its spec; of the whole document for kinds of Kubernetes.
        names: what its metadata may hold.
        elsewhere: fields that people look for in this kind's spec, with what to say about them.
    """

    collection: str
    read: Callable[[Metadata, Fields], Resource]
    names: Naming = field(default_factory=Naming)
    elsewhere: Mapping[str, str] | None = None

    @property
    def kubernetes(self) -> bool:
        """Whether it is a kind of Kubernetes, read leniently."""
        return not self.names.strict

    @property
    def versions(self) -> tuple[str, ...]:
        """The apiVersions that it may be written in."""
        return (KUBERNETES, CALICO, STORED) if self.kubernetes else (CALICO, STORED)


_POLICY: Final = Naming(name=policy_name)

KINDS: Final[Mapping[str, Kind]] = {
    "HostEndpoint": Kind(collection="hostEndpoints", read=endpoint.host_endpoint),
    "GlobalNetworkPolicy": Kind(collection="globalNetworkPolicies", read=policy.global_network_policy, names=_POLICY),
    "StagedGlobalNetworkPolicy": Kind(
        collection="stagedGlobalNetworkPolicies", read=policy.staged_global_network_policy, names=_POLICY
    ),
    "NetworkPolicy": Kind(
        collection="networkPolicies",
        read=policy.network_policy,
        names=Naming(name=namespaced_policy_name, namespaced=True),
        elsewhere=policy.ONLY_GLOBAL,
    ),
    "Tier": Kind(collection="tiers", read=policy.tier, names=Naming(name=dns_label)),
    "GlobalNetworkSet": Kind(
        collection="globalNetworkSets", read=sets.global_network_set, names=Naming(reserved=sets.NAMESPACE_LABEL)
    ),
    "NetworkSet": Kind(
        collection="networkSets", read=sets.network_set, names=Naming(namespaced=True, reserved=sets.NAMESPACE_LABEL)
    ),
    "Profile": Kind(collection="profiles", read=endpoint.profile),
    "FelixConfiguration": Kind(collection="felixConfigurations", read=config.felix_configuration),
    "Node": Kind(collection="nodes", read=config.node, names=Naming(strict=False)),
    "Namespace": Kind(collection="namespaces", read=config.namespace, names=Naming(name=dns_label, strict=False)),
    "Pod": Kind(collection="networkSets", read=config.pod, names=Naming(namespaced=True, strict=False)),
}


def read_resource(place: Place, kind: Kind, version: str) -> Resource:
    """Read one resource of a known kind.

    Args:
        place: of the document, or of the item of a List.
        kind: what it is.
        version: its apiVersion.
    """
    with place.fields(strict=not kind.kubernetes) as top:
        top.accept("apiVersion", "kind", "status")
        metadata = read_metadata(top.section("metadata"), kind.names, place.origin)
        if kind.kubernetes:
            return kind.read(metadata, top)
        with top.section("spec").fields(elsewhere=kind.elsewhere) as spec:
            resource = kind.read(metadata, spec)
    return _restored(resource) if version == STORED else resource


def tier_of(resource: Resource) -> str | None:
    """Return the name of a policy's tier; ``None`` for what is no policy."""
    if isinstance(resource, StagedGlobalNetworkPolicy):
        return resource.policy.tier
    return resource.tier if isinstance(resource, GlobalNetworkPolicy | NetworkPolicy) else None


def _restored(resource: Resource) -> Resource:
    """Undo what Calico does to metadata when it stores a resource as a CRD."""
    stored = resource.metadata
    tier = tier_of(resource)
    metadata = replace(
        stored,
        name=stored_name(stored, tier) if tier is not None else stored.name,
        annotations={key: value for key, value in stored.annotations.items() if key != STORED_METADATA},
    )
    if isinstance(resource, StagedGlobalNetworkPolicy):
        return replace(resource, metadata=metadata, policy=replace(resource.policy, metadata=metadata))
    return replace(resource, metadata=metadata)
