"""What resolving a policy found out about host endpoints, told alike by every command."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pyxdp.resolver import EndpointState

if TYPE_CHECKING:
    from pyxdp.cli.output import Output
    from pyxdp.manifest import Manifest
    from pyxdp.resolver import EffectivePolicy, EndpointResolution


def notices_of(manifest: Manifest, policy: EffectivePolicy) -> list[str]:
    """All notices: of reading, then of resolving."""
    return [*manifest.notices, *policy.notices]


def tell(output: Output, manifest: Manifest, policy: EffectivePolicy) -> None:
    """Warn of host endpoints that govern nothing, and tell the notices."""
    for found in policy.resolutions:
        if found.state is not EndpointState.ACTIVE:
            output.warning(f"HostEndpoint/{found.name}: {found.state.value}: {found.detail}")
    for endpoint in policy.endpoints:
        if not any(it.rules for tiers in endpoint.tiers.values() for tier in tiers for it in tier.policies):
            what = f"no policy with rules selects HostEndpoint/{endpoint.name}"
            output.warning(f"{endpoint.interface.name}: {what}: everything passes")
    for notice in notices_of(manifest, policy):
        output.notice(notice)


def resolution_json(found: EndpointResolution) -> dict[str, Any]:
    """Return the member of ``endpoints`` in ``docs/cli.md``."""
    return {
        "name": found.name,
        "state": found.state.value,
        "interfaces": list(found.interfaces),
        "detail": found.detail,
    }
