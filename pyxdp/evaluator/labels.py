"""Labels of a host endpoint (spec section 1.8)."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyxdp.model import HostEndpoint, Resources


def endpoint_labels(resources: Resources, endpoint: HostEndpoint) -> dict[str, str]:
    """Return an endpoint's labels with those that its profiles give it: its own win, then the earlier profile's."""
    labels: dict[str, str] = {}
    for name in reversed(endpoint.profiles):
        for profile in resources.profiles:
            if profile.metadata.name == name:
                labels.update(profile.labelsToApply)
    labels.update(endpoint.metadata.labels)
    return labels
