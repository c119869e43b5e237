"""IPv4 headers at XDP: lengths that lie, versions, options, padding."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pyxdp.abi import Reason
from tests.kern.conftest import ALLOWED, DENIED, FAILSAFE
from tests.kern.frames import AH, ESP, IPV4, TCP, ethernet, ipv4, tcp

if TYPE_CHECKING:
    from tests.kern.conftest import Bench

#: The largest frame that a test run gives to the program in one piece.
LINEAR = 3520


@pytest.mark.parametrize("length", [0, 1, 19])
def test_truncated_header(bench: Bench, length: int) -> None:
    packet = ipv4(TCP, tcp(DENIED))
    assert bench.xdp(ethernet(IPV4, packet[:length])).is_drop(Reason.DROP_SHORT_IP)


@pytest.mark.parametrize("version", [0, 3, 5, 6, 15])
def test_wrong_version(bench: Bench, version: int) -> None:
    assert bench.xdp(ethernet(IPV4, ipv4(TCP, tcp(ALLOWED), version=version))).is_drop(Reason.DROP_BAD_IP)


@pytest.mark.parametrize("ihl", range(5))
def test_header_length_below_five(bench: Bench, ihl: int) -> None:
    assert bench.xdp(ethernet(IPV4, ipv4(TCP, tcp(ALLOWED), ihl=ihl))).is_drop(Reason.DROP_BAD_IP)


@pytest.mark.parametrize("more", [1, 2, 1000, 65535 - 40])
def test_total_length_beyond_the_frame(bench: Bench, more: int) -> None:
    assert bench.xdp(ethernet(IPV4, ipv4(TCP, tcp(ALLOWED), total=40 + more))).is_drop(Reason.DROP_SHORT_IP)


@pytest.mark.parametrize("total", [0, 1, 19])
def test_total_length_below_the_header(bench: Bench, total: int) -> None:
    assert bench.xdp(ethernet(IPV4, ipv4(TCP, tcp(ALLOWED), total=total))).is_drop(Reason.DROP_SHORT_IP)


@pytest.mark.parametrize("total", [20, 23])
def test_total_length_below_the_header_with_options(bench: Bench, total: int) -> None:
    packet = ipv4(TCP, tcp(ALLOWED), options=bytes(4), total=total)
    assert bench.xdp(ethernet(IPV4, packet)).is_drop(Reason.DROP_SHORT_IP)


@pytest.mark.parametrize("length", [20, 24, 59])
def test_truncated_options(bench: Bench, length: int) -> None:
    packet = ipv4(TCP, tcp(ALLOWED), options=bytes(40))
    assert bench.xdp(ethernet(IPV4, packet[:length])).is_drop(Reason.DROP_SHORT_IP)


@pytest.mark.parametrize("words", [1, 2, 9, 10])
def test_options_are_skipped(bench: Bench, words: int) -> None:
    options = bytes([1]) * 4 * words
    assert bench.xdp(ethernet(IPV4, ipv4(TCP, tcp(DENIED), options=options))).is_drop(Reason.DROP_POLICY)
    assert bench.xdp(ethernet(IPV4, ipv4(TCP, tcp(ALLOWED), options=options))).is_pass(Reason.PASS_ALLOWED)


def test_options_that_look_like_ports_are_not_ports(bench: Bench) -> None:
    packet = ipv4(TCP, tcp(DENIED), options=tcp(ALLOWED))
    assert bench.xdp(ethernet(IPV4, packet)).is_drop(Reason.DROP_POLICY)


@pytest.mark.parametrize("padding", [1, 6, 1000])
def test_padding_behind_the_packet(bench: Bench, padding: int) -> None:
    frame = ethernet(IPV4, ipv4(TCP, tcp(DENIED)) + bytes(padding))
    assert bench.xdp(frame).is_drop(Reason.DROP_POLICY)


def test_padding_is_not_a_transport_header(bench: Bench) -> None:
    packet = ipv4(TCP, tcp(ALLOWED), total=39)
    assert bench.xdp(ethernet(IPV4, packet + bytes(30))).is_drop(Reason.DROP_SHORT_L4)


def test_runt(bench: Bench) -> None:
    """Shorter than the 60 bytes that Ethernet asks for, as frames of virtual interfaces are."""
    frame = ethernet(IPV4, ipv4(TCP, tcp(DENIED)))
    assert len(frame) < 60
    assert bench.xdp(frame).is_drop(Reason.DROP_POLICY)


@pytest.mark.parametrize("size", [1514, 2000, LINEAR])
def test_large_frame(bench: Bench, size: int) -> None:
    frame = ethernet(IPV4, ipv4(TCP, tcp(DENIED) + bytes(size - 54)))
    assert len(frame) == size
    assert bench.xdp(frame).is_drop(Reason.DROP_POLICY)


@pytest.mark.parametrize("size", [LINEAR + 64, 9014])
def test_frame_in_several_buffers(bench: Bench, size: int) -> None:
    """The program sees only the first buffer, and the length field promises more than that."""
    frame = ethernet(IPV4, ipv4(TCP, tcp(ALLOWED) + bytes(size - 54)))
    assert bench.xdp(frame).is_drop(Reason.DROP_SHORT_IP)


def test_esp_is_judged_by_protocol(bench: Bench) -> None:
    assert bench.xdp(ethernet(IPV4, ipv4(ESP, b""))).is_drop(Reason.DROP_POLICY)


def test_ah_is_judged_by_protocol(bench: Bench) -> None:
    """Unlike with IPv6, AH is a transport of its own: what it protects is seen when the kernel has checked it."""
    packet = ipv4(AH, bytes([TCP, 4, *bytes(22)]) + tcp(DENIED))
    assert bench.xdp(ethernet(IPV4, packet)).is_pass(Reason.PASS_NO_MATCH)


def test_addresses(bench: Bench) -> None:
    for packet in (ipv4(TCP, tcp(1), source="203.0.113.9"), ipv4(TCP, tcp(1), destination="203.0.113.9")):
        assert bench.xdp(ethernet(IPV4, packet)).is_drop(Reason.DROP_POLICY)
    assert bench.xdp(ethernet(IPV4, ipv4(TCP, tcp(1)))).is_pass(Reason.PASS_NO_MATCH)


def test_failsafe(bench: Bench) -> None:
    packet = ipv4(TCP, tcp(FAILSAFE), source="203.0.113.9")
    assert bench.xdp(ethernet(IPV4, packet)).is_pass(Reason.PASS_FAILSAFE)
