"""The generator: what it says that it sent arrives, whole, in turns, and is accepted by a kernel's stack."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest

from pyxdp.bpf import features
from tests.lab import flood
from tests.lab.waiting import wait_until

if TYPE_CHECKING:
    from tests.lab.network import Interface


@pytest.fixture(autouse=True)
def live_frames(kernel: None) -> None:
    supported = features.probe().live_frames
    if not supported:
        pytest.skip(f"frames can not be generated: {supported}")


def test_each_stream_reaches_its_socket(veth: tuple[Interface, Interface]) -> None:
    sender, receiver = veth
    streams = [
        flood.Stream(flood.udp((sender.ipv4, 4000), (receiver.ipv4, 9000))),
        flood.Stream(flood.udp((sender.ipv6, 4000), (receiver.ipv6, 9000))),
        flood.Stream(flood.udp((sender.ipv4, 0x8000), (receiver.ipv4, 9001)), ports=4096),
    ]
    places = [(receiver.ipv4, 9000), (receiver.ipv6, 9000), (receiver.ipv4, 9001)]
    with flood.flood(sender, receiver, streams) as generator, flood.receivers(receiver, places) as there:
        generator.send(3 * 10_000)
        assert generator.sent == [10_000] * 3
        wait_until(lambda: sum(there.received) + generator.lost == 30_000)
        assert generator.lost == 0
        assert there.received == [10_000] * 3


@pytest.mark.parametrize("family", [4, 6])
def test_what_varies(veth: tuple[Interface, Interface], family: int) -> None:
    """Numbers, addresses and ports take their turns, and the checksums stay right."""
    sender, receiver = veth
    source, target = ("10.77.0.64", receiver.ipv4) if family == 4 else ("fd77:0::1:40", receiver.ipv6)
    stream = flood.Stream(flood.udp((source, 0x9000), (target, 9000)), sources=4, ports=8)
    with receiver.namespace.entered():
        made = socket.socket(socket.AF_INET if family == 4 else socket.AF_INET6, socket.SOCK_DGRAM)
    with made, flood.flood(sender, receiver, [stream]) as generator:
        made.bind((target, 9000))
        made.settimeout(10)
        generator.send(16)
        heard = [made.recvfrom(64) for _ in range(16)]
    base = source.rpartition("." if family == 4 else ":")
    offsets = [64 + number % 4 if family == 4 else f"{0x40 + number % 4:x}" for number in range(16)]
    assert [(sender[0], sender[1]) for _, sender in heard] == [
        (f"{base[0].replace('fd77:0:', 'fd77:')}{base[1]}{offset}", 0x9000 + number % 8)
        for number, offset in enumerate(offsets)
    ]
    assert [int.from_bytes(data[-8:-4], "big") for data, _ in heard] == list(range(16))


def test_a_connection_attempt_is_answered(veth: tuple[Interface, Interface]) -> None:
    """The other end's stack takes the SYN for one, checksum and all."""
    sender, receiver = veth
    stream = flood.Stream(flood.tcp((sender.ipv4, 5000), (receiver.ipv4, 9000)), ports=8)
    with receiver.namespace.entered():
        listener = socket.socket()
    with listener, flood.flood(sender, receiver, [stream]) as generator:
        listener.bind((receiver.ipv4, 9000))
        listener.listen()
        generator.send(8)
        out = "/proc/net/snmp"
        wait_until(lambda: _tcp(receiver.namespace.run("cat", out).stdout, "OutSegs") >= 8)


def test_all_the_time(veth: tuple[Interface, Interface]) -> None:
    sender, receiver = veth
    stream = flood.Stream(flood.udp((sender.ipv4, 4000), (receiver.ipv4, 9000)))
    with (
        flood.flood(sender, receiver, [stream]) as generator,
        flood.receivers(receiver, [(receiver.ipv4, 9000)]) as there,
    ):
        with generator.running(burst=1024):
            wait_until(lambda: there.received[0] > 5000)
        wait_until(lambda: there.received[0] + generator.lost == generator.sent[0])


def test_sources_that_overlap_are_refused() -> None:
    with pytest.raises(ValueError, match="sources"):
        flood.Stream(flood.udp(("192.0.2.3", 4000), ("192.0.2.1", 9)), sources=4)


def _tcp(table: str, name: str) -> int:
    head, values = (line.split() for line in table.splitlines() if line.startswith("Tcp:"))
    return int(values[head.index(name)])
