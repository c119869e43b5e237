"""Host endpoints and profiles (spec sections 1.2 and 1.8)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pyxdp.model.metadata import Metadata
    from pyxdp.model.rule import Rule
    from pyxdp.net.values import Address, Protocol


@dataclass(frozen=True, slots=True)
class EndpointPort:
    """A named port of an endpoint."""

    name: str
    protocol: Protocol
    port: int


@dataclass(frozen=True, slots=True, kw_only=True)
class HostEndpoint:
    """One interface of a host, or with ``*`` all of them.

    Attributes:
        node: name of the host; only that host acts on it.
        interfaceName: a name, ``*``, or empty to find the interface by ``expectedIPs``.
        expectedIPs: addresses of the interface; what selectors of other rules see of this endpoint.
        profiles: in order.
        ports: named ports.
    """

    metadata: Metadata
    node: str
    interfaceName: str = ""
    expectedIPs: tuple[Address, ...] = ()
    profiles: tuple[str, ...] = ()
    ports: tuple[EndpointPort, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """Rules and labels that endpoints refer to by name; rules apply in the normal class only."""

    metadata: Metadata
    ingress: tuple[Rule, ...] = ()
    egress: tuple[Rule, ...] = ()
    labelsToApply: Mapping[str, str] = field(default_factory=dict)
