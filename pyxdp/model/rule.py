"""Rules of policies and profiles (spec sections 1.9 and 1.10)."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING

from pyxdp.model.metadata import Origin

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pyxdp.net.values import Family, Network, PortRange, Protocol


class Action(Enum):
    """What a rule does. Log is not a verdict; Pass ends the tier."""

    ALLOW = "Allow"
    DENY = "Deny"
    LOG = "Log"
    PASS = "Pass"  # noqa: S105 -- not a password


@dataclass(frozen=True, slots=True)
class IcmpMatch:
    """ICMP type and code; ``None`` matches every value. A code is only given together with a type."""

    type: int | None = None
    code: int | None = None


@dataclass(frozen=True, slots=True)
class ServiceAccountMatch:
    """Names are ORed; a selector given as well is ANDed."""

    names: tuple[str, ...] = ()
    selector: str = ""


@dataclass(frozen=True, slots=True)
class ServiceMatch:
    """A Kubernetes service."""

    name: str
    namespace: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class EntityRule:
    """One side of a rule. All given fields are ANDed; entries of one list are ORed.

    Attributes:
        nets: prefixes; empty means not given.
        notNets: prefixes of which none may match.
        selector: as written; empty means not given.
        notSelector: as written.
        namespaceSelector: as written; may be ``global()``.
        ports: ranges, and names of ports as ``str``; empty means not given.
        notPorts: likewise.
        serviceAccounts: or ``None``.
        services: or ``None``.
    """

    nets: tuple[Network, ...] = ()
    notNets: tuple[Network, ...] = ()
    selector: str = ""
    notSelector: str = ""
    namespaceSelector: str = ""
    ports: tuple[PortRange | str, ...] = ()
    notPorts: tuple[PortRange | str, ...] = ()
    serviceAccounts: ServiceAccountMatch | None = None
    services: ServiceMatch | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One rule of a policy or profile.

    Attributes:
        action: what happens to a packet that matches every given field.
        ipVersion: 4, 6 or ``None`` for both.
        protocol: or ``None``.
        notProtocol: or ``None``.
        icmp: or ``None``; ``IcmpMatch()`` is an ``icmp: {}`` that was written.
        notICMP: or ``None``; excludes packets with this type *and* code.
        source: the sender's side.
        destination: the receiver's side.
        annotations: ``metadata.annotations``, no effect on matching.
        http: true when an HTTP match was written; the host dataplane ignores it (application-layer policy).
        origin: not part of equality.
    """

    action: Action
    ipVersion: Family | None = None
    protocol: Protocol | None = None
    notProtocol: Protocol | None = None
    icmp: IcmpMatch | None = None
    notICMP: IcmpMatch | None = None
    source: EntityRule = EntityRule()
    destination: EntityRule = EntityRule()
    annotations: Mapping[str, str] = field(default_factory=dict)
    http: bool = False
    origin: Origin = field(default=Origin(), compare=False)
