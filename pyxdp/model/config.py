"""Configuration and the Kubernetes objects whose labels matter (spec sections 1.11 and 7)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pyxdp.net.values import Protocol

if TYPE_CHECKING:
    from pyxdp.model.metadata import Metadata
    from pyxdp.net.hooks import AllowAction, DenyAction
    from pyxdp.net.values import Address, Network


@dataclass(frozen=True, slots=True)
class FailsafePort:
    """A port that policy can not close.

    Attributes:
        protocol: TCP, UDP or SCTP.
        port: 0 to 65535.
        net: the other side's prefix, or ``None`` for any. A prefix of one family says nothing about the other.
    """

    protocol: Protocol
    port: int
    net: Network | None = None


def _failsafes(*ports: tuple[str, int]) -> tuple[FailsafePort, ...]:
    return tuple(FailsafePort(Protocol({"TCP": 6, "UDP": 17}[name], name), port) for name, port in ports)


_BOTH_WAYS = (("TCP", 179), ("TCP", 2379), ("TCP", 2380), ("TCP", 5473), ("TCP", 6443), ("TCP", 6666), ("TCP", 6667))

DEFAULT_FAILSAFE_INBOUND: Final = _failsafes(("TCP", 22), ("UDP", 68), *_BOTH_WAYS)
DEFAULT_FAILSAFE_OUTBOUND: Final = _failsafes(("UDP", 53), ("UDP", 67), *_BOTH_WAYS)


@dataclass(frozen=True, slots=True, kw_only=True)
class FelixConfiguration:
    """The parameters that have an effect here, merged from ``default`` and ``node.<name>`` by the resolver.

    ``None`` means not given.

    Attributes:
        failsafeInboundHostPorts: an empty tuple is an empty list (``none``), not the default.
        failsafeOutboundHostPorts: likewise.
        interfacePrefix: names that begin with one of these are workload interfaces, never host interfaces.
        interfaceExclude: literal names, or regular expressions written ``/like this/``, never host interfaces.
        logPrefix: prefix of the lines that Log rules produce.
        iptablesFilterAllowAction: whether an allowed packet skips the host's own filter rules (``Accept``) or not.
        iptablesFilterDenyAction: whether the filter table tells the sender of a denied packet (``Reject``) or not.
        nftablesFilterAllowAction: the same as its iptables twin, which wins when both are given.
        nftablesFilterDenyAction: likewise.
        disableConntrackInvalidCheck: whether packets that connection tracking finds invalid are left to policy.
        ignored: names of fields that were given and have no effect here.
    """

    metadata: Metadata
    failsafeInboundHostPorts: tuple[FailsafePort, ...] | None = None
    failsafeOutboundHostPorts: tuple[FailsafePort, ...] | None = None
    interfacePrefix: tuple[str, ...] | None = None
    interfaceExclude: tuple[str, ...] | None = None
    logPrefix: str | None = None
    iptablesFilterAllowAction: AllowAction | None = None
    iptablesFilterDenyAction: DenyAction | None = None
    nftablesFilterAllowAction: AllowAction | None = None
    nftablesFilterDenyAction: DenyAction | None = None
    disableConntrackInvalidCheck: bool | None = None
    ignored: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A Kubernetes or Calico node: labels and addresses."""

    metadata: Metadata
    addresses: tuple[Address, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Namespace:
    """A Kubernetes namespace: its labels reach the network sets inside it."""

    metadata: Metadata
