"""What is watched."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

CALICO: Final = ("projectcalico.org/v3", "crd.projectcalico.org/v1")
"""Where Calico's kinds are served, the better one first: by its own API server or as CRDs, or as the CRDs it stores."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchedKind:
    """A kind of object.

    Attributes:
        plural: its name in paths.
        kind: its name in objects.
        versions: apiVersions that it may be served as, the best first.
        essential: verdicts without it would be other verdicts: nothing is said before it was listed.
    """

    plural: str
    kind: str
    versions: tuple[str, ...] = CALICO
    essential: bool = True

    def path(self, version: str) -> str:
        """Return where all objects of the kind are listed, those of all namespaces together."""
        return f"/apis/{version}/{self.plural}" if "/" in version else f"/api/{version}/{self.plural}"

    def title(self, version: str) -> str:
        """Return the name that roles and kubectl use: ``tiers.projectcalico.org``."""
        group, slash, _ = version.partition("/")
        return f"{self.plural}.{group}" if slash else self.plural

    def prefix(self, version: str) -> str:
        """Return what the origins of all its texts begin with."""
        return f"kubernetes/{self.title(version)}/"


NODES: Final = WatchedKind(plural="nodes", kind="Node", versions=("v1",))
HOST_ENDPOINTS: Final = WatchedKind(plural="hostendpoints", kind="HostEndpoint")

KINDS: Final = (
    HOST_ENDPOINTS,
    WatchedKind(plural="globalnetworkpolicies", kind="GlobalNetworkPolicy"),
    WatchedKind(plural="tiers", kind="Tier"),
    WatchedKind(plural="globalnetworksets", kind="GlobalNetworkSet"),
    WatchedKind(plural="networksets", kind="NetworkSet"),
    WatchedKind(plural="profiles", kind="Profile"),
    WatchedKind(plural="felixconfigurations", kind="FelixConfiguration"),
    WatchedKind(plural="stagedglobalnetworkpolicies", kind="StagedGlobalNetworkPolicy", essential=False),
    WatchedKind(plural="networkpolicies", kind="NetworkPolicy", essential=False),
    NODES,
    WatchedKind(plural="namespaces", kind="Namespace", versions=("v1",)),
    WatchedKind(plural="pods", kind="Pod", versions=("v1",), essential=False),
)
