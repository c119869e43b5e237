"""Readers of network sets (spec section 1.7)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pyxdp.manifest.readers import each
from pyxdp.manifest.values import loose_network
from pyxdp.model import GlobalNetworkSet, NetworkSet

if TYPE_CHECKING:
    from pyxdp.manifest.place import Fields, Reader
    from pyxdp.model import Metadata
    from pyxdp.net import Network
    from pyxdp.net.prefixes import Prefixes

_NETS: Reader[tuple[Network, ...]] = each(loose_network)

#: Calico's own label, which users may not set on a network set.
NAMESPACE_LABEL: Final = "projectcalico.org/namespace"


def global_network_set(metadata: Metadata, spec: Fields) -> GlobalNetworkSet:
    """Read the spec of a GlobalNetworkSet."""
    return GlobalNetworkSet(metadata=metadata, nets=_nets(spec))


def network_set(metadata: Metadata, spec: Fields) -> NetworkSet:
    """Read the spec of a NetworkSet."""
    return NetworkSet(metadata=metadata, nets=_nets(spec))


def _nets(spec: Fields) -> Prefixes:
    """Return the prefixes, each once; lists from feeds often repeat some."""
    from pyxdp.net.prefixes import Prefixes  # noqa: PLC0415 - loads numpy

    written = spec.read("nets", _NETS, ())
    distinct = Prefixes.of(written)
    place = spec.place("nets")
    if place and len(distinct) < len(written):
        place.notice(f"nets: {len(written) - len(distinct):,} entries repeat others and count once")
    return distinct
