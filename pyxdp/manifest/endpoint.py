"""Readers of host endpoints and profiles (spec sections 1.2 and 1.8)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pyxdp.manifest.names import interface_name, label_map, name, port_name
from pyxdp.manifest.nodes import is_empty
from pyxdp.manifest.readers import each, integer, optional, unique
from pyxdp.manifest.rule import rules
from pyxdp.manifest.values import MAX_PORT, address, protocol
from pyxdp.model import Action, EndpointPort, HostEndpoint, Profile, Rule
from pyxdp.net import Protocol

if TYPE_CHECKING:
    from pyxdp.manifest.place import Fields, Place
    from pyxdp.model import Metadata

DEFAULT_ALLOW: Final = "projectcalico-default-allow"

#: TCP, UDP and SCTP: the protocols of named ports.
_NAMED_PORT_PROTOCOLS: Final = frozenset({6, 17, 132})


def host_endpoint(metadata: Metadata, spec: Fields) -> HostEndpoint:
    """Read the spec of a HostEndpoint."""
    endpoint = HostEndpoint(
        metadata=metadata,
        node=spec.require("node", name, "", meaning="the name of the host that has the interface"),
        interfaceName=spec.read("interfaceName", optional(interface_name), ""),
        expectedIPs=spec.read("expectedIPs", unique(address), ()),
        profiles=spec.read("profiles", unique(name), ()),
        ports=spec.read("ports", each(_endpoint_port), ()),
    )
    if not _names_an_interface(spec) and not spec.broken:
        spec.missing("interfaceName", "an interface, `*` for all of them, or the interface's addresses in expectedIPs")
    return endpoint


def profile(metadata: Metadata, spec: Fields) -> Profile:
    """Read the spec of a Profile."""
    ingress, egress = rules(spec, namespaced=True)
    to_apply = spec.read("labelsToApply", label_map, {})
    everything = (Rule(action=Action.ALLOW),)
    if metadata.name == DEFAULT_ALLOW and (ingress, egress, to_apply) != (everything, everything, {}):
        spec.at.problem(f"the profile {DEFAULT_ALLOW} is built in and allows everything: use another name")
    return Profile(metadata=metadata, ingress=ingress, egress=egress, labelsToApply=to_apply)


def _names_an_interface(spec: Fields) -> bool:
    """Whether an interface is named, rightly or wrongly: a wrong name has its own problem already."""
    given = [place for place in (spec.place("interfaceName"), spec.place("expectedIPs")) if place]
    return any(not is_empty(place.node) for place in given)


def _endpoint_port(place: Place) -> EndpointPort:
    with place.fields() as fields:
        return EndpointPort(
            name=fields.require("name", port_name, "", meaning="the name that rules use for the port"),
            protocol=fields.require("protocol", _port_protocol, Protocol(0), meaning="TCP, UDP or SCTP"),
            port=fields.require("port", integer(1, MAX_PORT), 0, meaning=f"a number from 1 to {MAX_PORT}"),
        )


def _port_protocol(place: Place) -> Protocol | None:
    value = protocol(place)
    if value is not None and value.number not in _NAMED_PORT_PROTOCOLS:
        place.problem(f"protocol {value} has no named ports: use TCP, UDP or SCTP")
        return None
    return value
