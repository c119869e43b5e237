"""Frames at millions a second out of one end of a veth pair, made in the kernel: ``tests/bpf/objects/flood.bpf.c``.

Needs Linux 5.18. The frames leave the process's system call on its own CPU, 64 at a time, and the other end takes them
there before the next 64 come: none finds the ring of a veth full, unless its CPU is so busy that the kernel puts the
taking off. :attr:`Flood.lost` counts what was.
"""

from __future__ import annotations

import errno
import os
import socket
import sys
import threading
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pyroute2.ethtool.ioctl import IoctlEthtool

from pyxdp.bpf import BpfError, Object
from tests.lab import packets

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pyxdp.bpf import Map
    from tests.lab.network import Interface
    from tests.lab.packets import Place

OBJECT: Final = Path(__file__).parents[2] / "build/tests/flood.bpf.o"
#: Frames of one system call of :meth:`Flood.running`. Every call ends with some 20 ms in which nothing is sent: the
#: kernel waits for RCU before it gives the frames back.
BURST: Final = 1 << 18

_FRAME: Final = 128
_STREAMS: Final = 64
_SO_ATTACH_BPF: Final = 50
_SOMEBODY_ELSE: Final = b"\x02\0\0\0\0\x77"
#: The frame's number, and its complement: see ``write_number`` in C.
_NUMBER: Final = b"\0\0\0\0\xff\xff\xff\xff"


@dataclass(frozen=True)
class Stream:
    """One kind of frame, and what varies in it besides the number that each has in its last eight bytes.

    Attributes:
        packet: UDP or TCP with its IP header, without IP options or extension headers: :func:`udp` and :func:`tcp`.
        sources: how many source addresses take turns, from the packet's on; a power of two, at most 65536, and what
            the packet's own has in these bits is zero.
        ports: how many source ports take turns, likewise.
        astray: for the MAC address of somebody else, so that only XDP sees the frame: no stack takes it.
    """

    packet: bytes
    sources: int = 1
    ports: int = 1
    astray: bool = False

    def __post_init__(self) -> None:
        for name, number, at in (("sources", self.sources, self._source), ("ports", self.ports, self._port)):
            if number < 1 or number & number - 1 or number > 1 << 16 or self._field(at) & number - 1:
                raise ValueError(f"{name}: {number} from {self._field(at):#x} on")

    def encoded(self, receiver: bytes, sender: bytes) -> bytes:
        """The ``struct stream`` for a cable between two MAC addresses."""
        macs = (_SOMEBODY_ELSE if self.astray else receiver) + sender
        frame = macs + (b"\x08\0" if self._is_ipv4 else b"\x86\xdd") + self.packet
        checksum = self._transport + (16 if self._protocol == packets.TCP else 6)
        places = len(frame) - 8, *(14 + at for at in (self._source, self._port, 10 if self._is_ipv4 else -14, checksum))
        numbers = (*places, self.sources - 1, self.ports - 1, 0)
        return frame.ljust(_FRAME + 8, b"\0") + b"".join(it.to_bytes(2, sys.byteorder) for it in numbers)

    @property
    def _is_ipv4(self) -> bool:
        return self.packet[0] >> 4 == 4

    @property
    def _protocol(self) -> int:
        return self.packet[9 if self._is_ipv4 else 6]

    @property
    def _source(self) -> int:
        return 14 if self._is_ipv4 else 22

    @property
    def _transport(self) -> int:
        return 20 if self._is_ipv4 else 40

    @property
    def _port(self) -> int:
        return self._transport

    def _field(self, at: int) -> int:
        return int.from_bytes(self.packet[at : at + 2], "big")


def udp(source: Place, destination: Place) -> bytes:
    """A UDP packet for a stream: 64 bytes of frame for IPv4, 84 for IPv6."""
    size = 50 if ip_address(source[0]).version == 4 else 70
    head = 28 if size == 50 else 48
    payload = bytes(size - head - 8) + _NUMBER
    return packets.ip(source[0], destination[0], packets.UDP, packets.udp(source, destination, payload))


def tcp(source: Place, destination: Place, flags: int = packets.SYN) -> bytes:
    """A TCP segment for a stream; the number is behind its end, where a frame has padding."""
    return packets.ip(source[0], destination[0], packets.TCP, packets.tcp(source, destination, flags)) + _NUMBER


class Flood:
    """A generator from one end of a cable to the other: see :func:`flood`."""

    def __init__(self, loaded: Object, sender: Interface, frame: int, streams: int) -> None:
        self._loaded = loaded
        self._sender = sender
        self._frame = bytes(frame)
        self._streams = streams
        self._lost_before = self._dropped()

    def send(self, frames: int) -> None:
        """Send this many frames from this thread, the streams taking turns."""
        with self._sender.namespace.entered():
            self._loaded.programs["flood"].test_run(self._frame, repeat=frames, live_frames=True)

    def _send_some(self, frames: int) -> None:
        """Send up to so many: the kernel gives up when a signal waits for the thread, as when a child has ended."""
        try:
            self.send(frames)
        except BpfError as error:
            if error.errno != errno.EINTR:
                raise

    @contextmanager
    def running(self, cpu: int | None = None, burst: int = BURST) -> Iterator[None]:
        """Send from another thread all the time.

        Args:
            cpu: the only one that the generator may use; by default all.
            burst: frames of one system call.
        """
        over = threading.Event()
        failures: list[BaseException] = []

        def run() -> None:
            try:
                if cpu is not None:
                    os.sched_setaffinity(0, {cpu})
                while not over.is_set():
                    self._send_some(burst)
            except BaseException as error:  # noqa: BLE001 -- raised below
                failures.append(error)

        thread = threading.Thread(target=run)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()
        if failures:
            raise failures[0]

    @property
    def sent(self) -> list[int]:
        """Frames of each stream so far, those lost on the cable included."""
        size = self._loaded.maps["table"].element_size
        data = self._loaded.maps["table"].read(0, self._streams)
        return [int.from_bytes(data[at + _FRAME : at + _FRAME + 8], sys.byteorder) for at in range(0, len(data), size)]

    @property
    def lost(self) -> int:
        """Frames that the cable did not take, because the ring of the other end was full."""
        return self._dropped() - self._lost_before

    def _dropped(self) -> int:
        with self._sender.namespace.links() as ip:
            (link,) = ip.get_links(self._sender.ifindex)
            return int(link.get_attr("IFLA_STATS64")["tx_dropped"])


@contextmanager
def flood(sender: Interface, receiver: Interface, streams: Sequence[Stream]) -> Iterator[Flood]:
    """Load a generator for a veth pair; both ends are made to take frames of generators, as native XDP makes them too.

    Args:
        sender: the end that the frames leave by.
        receiver: the other end.
        streams: at most 64.
    """
    macs = [bytes.fromhex(end.mac.replace(":", "")) for end in (receiver, sender)]
    encoded = [stream.encoded(*macs) for stream in streams]
    length = max(14 + len(stream.packet) for stream in streams)
    if not 1 <= len(streams) <= _STREAMS or length > _FRAME:
        raise ValueError(f"{len(streams)} streams of {length} bytes")
    for end in (sender, receiver):
        with end.namespace.entered(), closing(IoctlEthtool(end.name)) as card:
            card.set_offload_flag("generic-receive-offload", data=True)
    with Object.open(OBJECT) as generator:
        generator.rodata["target"] = sender.ifindex
        generator.rodata["streams"] = len(streams)
        generator.programs["receive"].autoload = False
        generator.load()
        generator.maps["table"].write(0, b"".join(encoded))
        yield Flood(generator, sender, -(-length // 8) * 8, len(streams))


class Receivers:
    """UDP sockets that count what they receive in the kernel: see :func:`receivers`."""

    def __init__(self, counts: Sequence[Map]) -> None:
        self._counts = counts

    @property
    def received(self) -> list[int]:
        """Datagrams of each socket so far."""
        return [counts.read_sums()[0][0] for counts in self._counts]


@contextmanager
def receivers(end: Interface, places: Sequence[Place]) -> Iterator[Receivers]:
    """Open a UDP socket for each address and port of an interface.

    A datagram is counted at the very end of its way, where it would be put into the socket's queue; so no queue is
    ever full.
    """
    with ExitStack() as stack:
        counts = []
        for address, port in places:
            counter = stack.enter_context(Object.open(OBJECT))
            counter.programs["flood"].autoload = False
            counter.load()
            counts.append(counter.maps["received"])
            with end.namespace.entered():
                family = socket.AF_INET6 if ":" in address else socket.AF_INET
                made = stack.enter_context(socket.socket(family, socket.SOCK_DGRAM))
            made.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_BPF, counter.programs["receive"].fileno())
            made.bind((address, port))
        yield Receivers(counts)
