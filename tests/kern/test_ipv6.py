"""IPv6 headers and extension headers at XDP."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pyxdp.abi import Reason
from tests.kern.conftest import ALLOWED, DENIED
from tests.kern.frames import (
    AH,
    DESTINATION,
    ESP,
    FRAGMENT,
    HOP_BY_HOP,
    IPV6,
    MOBILITY,
    NO_NEXT,
    ROUTING,
    TCP,
    chain,
    ethernet,
    ipv6,
    tcp,
)

if TYPE_CHECKING:
    from tests.kern.conftest import Bench

KINDS = {
    "hop-by-hop": HOP_BY_HOP,
    "routing": ROUTING,
    "fragment": FRAGMENT,
    "authentication": AH,
    "destination": DESTINATION,
}


def frame(kinds: tuple[int, ...], port: int, *, units: int = 0) -> bytes:
    return ethernet(IPV6, ipv6(*chain(kinds, TCP, tcp(port), units=units)))


@pytest.mark.parametrize("length", [0, 1, 39])
def test_truncated_header(bench: Bench, length: int) -> None:
    packet = ipv6(TCP, tcp(DENIED))
    assert bench.xdp(ethernet(IPV6, packet[:length])).is_drop(Reason.DROP_SHORT_IP)


@pytest.mark.parametrize("version", [0, 4, 5, 7, 15])
def test_wrong_version(bench: Bench, version: int) -> None:
    assert bench.xdp(ethernet(IPV6, ipv6(TCP, tcp(ALLOWED), version=version))).is_drop(Reason.DROP_BAD_IP)


@pytest.mark.parametrize("length", [21, 22, 1000, 65535])
def test_payload_length_beyond_the_frame(bench: Bench, length: int) -> None:
    assert bench.xdp(ethernet(IPV6, ipv6(TCP, tcp(ALLOWED), length=length))).is_drop(Reason.DROP_SHORT_IP)


@pytest.mark.parametrize("length", [0, 19])
def test_payload_length_below_the_transport_header(bench: Bench, length: int) -> None:
    assert bench.xdp(ethernet(IPV6, ipv6(TCP, tcp(ALLOWED), length=length))).is_drop(Reason.DROP_SHORT_L4)


def test_padding_behind_the_packet(bench: Bench) -> None:
    assert bench.xdp(ethernet(IPV6, ipv6(TCP, tcp(DENIED)) + bytes(9))).is_drop(Reason.DROP_POLICY)


def test_addresses(bench: Bench) -> None:
    unwanted = ipv6(TCP, tcp(1), source="2001:db8:dead::1"), ipv6(TCP, tcp(1), destination="2001:db8:dead:ffff::")
    for packet in unwanted:
        assert bench.xdp(ethernet(IPV6, packet)).is_drop(Reason.DROP_POLICY)
    assert bench.xdp(ethernet(IPV6, ipv6(TCP, tcp(1)))).is_pass(Reason.PASS_NO_MATCH)


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
@pytest.mark.parametrize("units", [0, 1, 255])
def test_extension_header_is_skipped(bench: Bench, kind: int, units: int) -> None:
    assert bench.xdp(frame((kind,), DENIED, units=units)).is_drop(Reason.DROP_POLICY)
    assert bench.xdp(frame((kind,), ALLOWED, units=units)).is_pass(Reason.PASS_ALLOWED)


def test_usual_order_of_extension_headers(bench: Bench) -> None:
    kinds = (HOP_BY_HOP, DESTINATION, ROUTING, FRAGMENT, AH, DESTINATION)
    assert bench.xdp(frame(kinds, DENIED)).is_drop(Reason.DROP_POLICY)


@pytest.mark.parametrize("count", [2, 7, 8])
def test_up_to_eight_extension_headers(bench: Bench, count: int) -> None:
    assert bench.xdp(frame((DESTINATION,) * count, DENIED)).is_drop(Reason.DROP_POLICY)
    assert bench.xdp(frame((DESTINATION,) * count, ALLOWED)).is_pass(Reason.PASS_ALLOWED)


@pytest.mark.parametrize("count", [9, 10, 40])
def test_more_than_eight_extension_headers(bench: Bench, count: int) -> None:
    assert bench.xdp(frame((DESTINATION,) * count, ALLOWED)).is_drop(Reason.DROP_EXTENSIONS)


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
@pytest.mark.parametrize("length", [0, 1, 7])
def test_truncated_extension_header(bench: Bench, kind: int, length: int) -> None:
    following, payload = chain((kind,), TCP, tcp(ALLOWED))
    assert bench.xdp(ethernet(IPV6, ipv6(following, payload[:length]))).is_drop(Reason.DROP_EXTENSIONS)


@pytest.mark.parametrize("kind", [HOP_BY_HOP, ROUTING, AH, DESTINATION])
def test_extension_header_longer_than_the_packet(bench: Bench, kind: int) -> None:
    payload = bytes([TCP, 255, *bytes(6)]) + tcp(ALLOWED)
    assert bench.xdp(ethernet(IPV6, ipv6(kind, payload))).is_drop(Reason.DROP_EXTENSIONS)


def test_extension_header_in_the_padding(bench: Bench) -> None:
    """The payload length ends within the chain, though the frame goes on."""
    following, payload = chain((DESTINATION, DESTINATION), TCP, tcp(ALLOWED))
    assert bench.xdp(ethernet(IPV6, ipv6(following, payload, length=8))).is_drop(Reason.DROP_EXTENSIONS)


def test_transport_header_in_the_padding(bench: Bench) -> None:
    following, payload = chain((DESTINATION,), TCP, tcp(ALLOWED))
    assert bench.xdp(ethernet(IPV6, ipv6(following, payload, length=8))).is_drop(Reason.DROP_SHORT_L4)


def test_jumbogram(bench: Bench) -> None:
    """RFC 2675: the payload length is zero, the true one is in a hop-by-hop option."""
    option = bytes([TCP, 0, 0xC2, 4, 0, 1, 0, 0])
    assert bench.xdp(ethernet(IPV6, ipv6(HOP_BY_HOP, option + tcp(ALLOWED), length=0))).is_drop(Reason.DROP_EXTENSIONS)


@pytest.mark.parametrize("protocol", [NO_NEXT, ESP, MOBILITY], ids=["no next header", "ESP", "mobility"])
@pytest.mark.parametrize("kinds", [(), (HOP_BY_HOP,), (DESTINATION,) * 8], ids=["alone", "behind one", "behind eight"])
def test_header_that_ends_the_chain_is_judged_by_protocol(bench: Bench, protocol: int, kinds: tuple[int, ...]) -> None:
    following, payload = chain(kinds, protocol, b"")
    assert bench.xdp(ethernet(IPV6, ipv6(following, payload))).is_drop(Reason.DROP_POLICY)
