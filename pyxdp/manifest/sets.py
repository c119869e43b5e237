"""Readers of network sets (spec section 1.7)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pyxdp.manifest.nodes import Run
from pyxdp.manifest.values import loose_network
from pyxdp.model import GlobalNetworkSet, NetworkSet

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pyxdp.manifest.nodes import Node
    from pyxdp.manifest.place import Fields
    from pyxdp.model import Metadata
    from pyxdp.net import Network
    from pyxdp.net.prefixes import Prefixes

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
    from pyxdp.net.bulk import parse_lines  # noqa: PLC0415 - loads numpy
    from pyxdp.net.prefixes import NO_PREFIXES, Prefixes  # noqa: PLC0415 - loads numpy

    place = spec.place("nets")
    if place is None:
        return NO_PREFIXES
    single: list[Network] = []
    many: list[Prefixes] = []
    count = 0
    for index, part in place.parts():
        if isinstance(part, Run):
            known, unsure = parse_lines(part.texts.encode())
            many.append(known)
            count += part.count - len(unsure)
            rest: Iterable[tuple[int, Node]] = zip(unsure, part.scalars(unsure), strict=True) if unsure else ()
        else:
            rest = [(0, part)]
        read = (loose_network(place.child(index + number, node)) for number, node in rest)
        single += (network for network in read if network is not None)
    distinct = Prefixes.union([Prefixes.of(single), *many])
    repeats = count + len(single) - len(distinct)
    if repeats:
        place.notice(f"nets: {repeats:,} entries repeat others and count once")
    return distinct
