"""Readers of failsafe ports: the v3 list of structs, and Felix's own text syntax (spec section 1.11).

The text is a comma list of ``port``, ``protocol:port`` and ``protocol:net:port``, an IPv6 net in brackets; ``none`` is
the empty list and empty text the default one. SCTP is accepted in both forms (spec section 11).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from pyxdp.manifest.nodes import Scalar, shorten
from pyxdp.manifest.readers import integer, pairs, text, word
from pyxdp.manifest.values import MAX_PORT
from pyxdp.model import FailsafePort
from pyxdp.net import Protocol
from pyxdp.net.addresses import parse_network
from pyxdp.net.values import PROTOCOL_NUMBERS

if TYPE_CHECKING:
    from pyxdp.manifest.place import Place, Reader
    from pyxdp.net import Network

_PROTOCOLS: Final = {name.lower(): Protocol(PROTOCOL_NUMBERS[name], name) for name in ("TCP", "UDP", "SCTP")}
_ITEM: Final = re.compile(
    r"(?:(?P<protocol>[^:]*):(?:(?:\[(?P<bracketed>[^]]*)\]|(?P<net>[^:\[\]]*)):)?)?(?P<port>[0-9]{1,9})"
)
_FORMS: Final = "port, protocol:port, protocol:net:port or protocol:[IPv6 net]:port"


def failsafe_ports(default: tuple[FailsafePort, ...]) -> Reader[tuple[FailsafePort, ...]]:
    """Return a reader of one of the two lists.

    Args:
        default: what empty text stands for.
    """

    def read(place: Place) -> tuple[FailsafePort, ...] | None:
        if isinstance(place.node, Scalar):
            written = word(place)
            return None if written is None else default if not written.strip() else _parse_list(place, written)
        return tuple(port for _, port in pairs(_entry)(place) or ())

    return read


def _entry(place: Place) -> FailsafePort | None:
    if isinstance(place.node, Scalar):
        written = word(place)
        return None if written is None else _parse_item(place, written, 0)
    with place.fields() as fields:
        net = fields.place("net")
        return FailsafePort(
            fields.read("protocol", _protocol, _PROTOCOLS["tcp"]),
            fields.require("port", integer(0, MAX_PORT), 0, meaning=f"a number from 0 to {MAX_PORT}"),
            _net(net) if net else None,
        )


def _protocol(place: Place) -> Protocol | None:
    written = text(place)
    if not written:
        return None
    if written.lower() in _PROTOCOLS:
        return _PROTOCOLS[written.lower()]
    place.problem(f"must be TCP, UDP or SCTP, not `{shorten(written)}`")
    return None


def _net(place: Place) -> Network | None:
    written = text(place)
    try:
        return parse_network(written)[0] if written else None
    except ValueError:
        place.problem(f"must be an address or a prefix, not `{shorten(written or '')}`")
        return None


def _parse_list(place: Place, written: str) -> tuple[FailsafePort, ...]:
    if written.strip().lower() == "none":
        return ()
    ports = []
    offset = 0
    for item in written.split(","):
        if item.strip():
            ports.append(_parse_item(place, item.strip(), offset + len(item) - len(item.lstrip())))
        offset += len(item) + 1
    return tuple(port for port in ports if port is not None)


def _parse_item(place: Place, item: str, offset: int) -> FailsafePort | None:
    match = _ITEM.fullmatch(item)
    if match is None:
        place.problem(f"`{shorten(item)}` is no failsafe port: write {_FORMS}", offset=offset)
        return None
    protocol = _PROTOCOLS["tcp"] if match["protocol"] is None else _PROTOCOLS.get(match["protocol"].lower())
    if protocol is None:
        place.problem(f"`{shorten(item)}`: the protocol must be tcp, udp or sctp", offset=offset)
    port = int(match["port"])
    if port > MAX_PORT:
        place.problem(f"`{shorten(item)}`: the port must be at most {MAX_PORT}", offset=offset + match.start("port"))
    net = match["bracketed"] or match["net"]
    try:
        network = parse_network(net)[0] if net else None
    except ValueError:
        place.problem(f"`{shorten(item)}`: `{shorten(net)}` is no address or prefix", offset=offset)
        return None
    return FailsafePort(protocol, port, network) if protocol and port <= MAX_PORT else None
