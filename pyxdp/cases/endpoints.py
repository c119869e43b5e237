"""Interfaces for host endpoints that are to be tested: each gets one of its own, made up for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pyxdp.manifest.nodes import shorten
from pyxdp.manifest.place import suggest
from pyxdp.model.standin import WILDCARD, stand_ins
from pyxdp.net import Interface
from pyxdp.resolver import resolve

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pyxdp.model import HostEndpoint, Resources
    from pyxdp.resolver import EffectivePolicy

_INDEX: Final = 2


class NoEndpointError(Exception):
    """A name that stands for no host endpoint with an interface; the message says why."""


@dataclass(frozen=True, slots=True)
class TestedEndpoint:
    """A host endpoint on the one interface of its node.

    Attributes:
        endpoint: which one.
        interface: made up for it: with its interfaceName; otherwise with any name, and its expectedIPs.
        policy: of its node.
    """

    endpoint: HostEndpoint
    interface: Interface
    policy: EffectivePolicy


class TestedEndpoints:
    """Host endpoints by name, each resolved when it is first asked for."""

    def __init__(self, resources: Resources) -> None:
        self._resources = resources
        self._known: dict[str, TestedEndpoint | NoEndpointError] = {}

    def __getitem__(self, name: str) -> TestedEndpoint:
        """Return a host endpoint with its interface and policy.

        Raises:
            NoEndpointError: there is none, or it governs nothing: another endpoint of the node governs its interface,
                or the node's settings leave the interface out.
            UnsupportedPolicyError: a rule in use can not be enforced by any version.
        """
        if name not in self._known:
            self._known[name] = self._find(name)
        found = self._known[name]
        if isinstance(found, NoEndpointError):
            raise found
        return found

    def _find(self, name: str) -> TestedEndpoint | NoEndpointError:
        endpoints = {it.metadata.name: it for it in self._resources.hostEndpoints}
        if name not in endpoints:
            alike = suggest(name, endpoints)
            hint = f"did you mean `{alike}`?" if alike else f"there are {', '.join(sorted(endpoints)) or 'none'}"
            return NoEndpointError(f"there is no HostEndpoint `{shorten(name)}`: {hint}")
        endpoint = endpoints[name]
        for interface in self._interfaces(endpoint):
            policy = resolve(self._resources, endpoint.node, (interface,))
            if any(it.interface == interface and it.name == name for it in policy.endpoints):
                return TestedEndpoint(endpoint, interface, policy)
        why = next((it.detail for it in policy.resolutions if it.name == name), "")
        return NoEndpointError(f"HostEndpoint `{name}` governs no interface: {why}")

    def _interfaces(self, endpoint: HostEndpoint) -> Iterable[Interface]:
        """Return interfaces that the endpoint may govern; never none."""
        if endpoint.interfaceName not in ("", WILDCARD):
            return [Interface(endpoint.interfaceName, _INDEX)]
        return stand_ins(endpoint, self._resources.hostEndpoints)
