"""Which host endpoint, or which interface, a packet is to be explained at."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import click

import pyxdp
from pyxdp.explanation import Place, place_of
from pyxdp.net import Interface

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyxdp.model import HostEndpoint, Resources
    from pyxdp.net import Address
    from pyxdp.net.parse import Frame


def interface_place(resources: Resources, name: str, *, node: str | None, local: Sequence[Address]) -> Place:
    """Ask an interface of this machine, with its addresses; one that is not there has those that were named."""
    from pyxdp import netlink  # noqa: PLC0415 - loads pyroute2, and only this needs it

    interfaces = {it.name: it for it in netlink.interfaces()}
    found = interfaces.get(name, Interface(name, 0))
    interfaces[name] = replace(found, addresses=(*found.addresses, *local))
    return Place(
        resources=resources,
        node=node or pyxdp.steps.default_node(),
        interfaces=tuple(interfaces.values()),
        interface=name,
    )


def endpoint_place(
    resources: Resources, name: str | None, *, node: str | None, local: Sequence[Address], frame: Frame | None
) -> Place:
    """Ask a host endpoint; without a name the only one that it can be.

    Raises:
        UsageError: it can be none, or more than one.
        UnknownEndpointError: there is none of that name.
    """
    return place_of(resources, name or _only_endpoint(resources, node, frame), addresses=local)


def _only_endpoint(resources: Resources, node: str | None, frame: Frame | None) -> str:
    candidates = [it for it in resources.hostEndpoints if node in (None, it.node)]
    if not candidates:
        raise click.UsageError(f"no HostEndpoint{f' of node {node}' if node else ''} in the manifests")
    addressed = [it for it in candidates if frame and _is_end_of(it, frame)]
    found = addressed if len(addressed) == 1 else candidates
    if len(found) > 1:
        names = ", ".join(it.metadata.name for it in found)
        raise click.UsageError(f"which HostEndpoint? name one with --endpoint: {names}")
    return found[0].metadata.name


def _is_end_of(endpoint: HostEndpoint, frame: Frame) -> bool:
    packet = frame.packet
    return packet is not None and not {packet.source, packet.destination}.isdisjoint(endpoint.expectedIPs)
