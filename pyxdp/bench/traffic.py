"""Many flows for one program: the frames of ``kern/bench.bpf.c``, whose flows take turns in the kernel."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import files
from ipaddress import IPv4Address
from sys import byteorder
from typing import TYPE_CHECKING, Final

from pyxdp.bench.documents import HOST
from pyxdp.bpf import Object
from pyxdp.errors import OperatorError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from typing_extensions import Self

    from pyxdp.bpf import Program

_MACS: Final = bytes.fromhex("020000000002020000000001")
_TCP: Final = 6
_SYN: Final = b"\x50\x02\xff\xff"
#: The host, and the size of a ``struct flow``.
_TO: Final = IPv4Address(HOST[4])
_FLOW: Final = 12
_HEADER: Final = b"\x45\0\0\x28\0\0\x40\0\x40\x06"


@dataclass(frozen=True, slots=True)
class Flow:
    """The sender's side of TCP packets to the host.

    Attributes:
        source: IPv4 address as a number.
        source_port: any.
        destination_port: of the host.
    """

    source: int
    source_port: int
    destination_port: int


class Traffic:
    """Controls and generator, loaded. Use as a context manager.

    Args:
        flows: what :func:`encoded` makes of as many as a power of two; by default of one.
        target: number of the interface that :attr:`emit` sends by.
        macs: destination and source of the frames.
        destination: of the packets.
    """

    def __init__(
        self,
        flows: bytes = b"",
        *,
        target: int = 0,
        macs: bytes = _MACS,
    ) -> None:
        flows = flows or encoded([Flow(0x64400101, 40000, 6379)])
        count = len(flows) // _FLOW
        self.frame = macs + b"\x08\0" + _packet(IPv4Address(0), _TO)
        self.object = Object.open(_code(), name="bench")
        try:
            self.object.maps["flows"].max_entries = count
            self.object.rodata["flows_mask"] = count - 1
            self.object.rodata["target"] = target
            self.object.load()
            self.object.maps["flows"].write(0, flows)
            # The kernel takes only programs of one kind into a program array: each() is one.
            self.measure(self.object.programs["empty_drop"])
        except BaseException:
            self.object.close()
            raise

    def measure(self, program: Program) -> None:
        """Make this the program that :attr:`each` runs."""
        self.object.maps["measured"].update(0, program.fileno().to_bytes(4, byteorder))

    @property
    def drop(self) -> Program:
        """A program that drops."""
        return self.object.programs["empty_drop"]

    @property
    def passing(self) -> Program:
        """A program that lets everything pass."""
        return self.object.programs["empty_pass"]

    @property
    def each(self) -> Program:
        """A program that makes a frame one of the next flow, and runs the measured program on it."""
        return self.object.programs["each"]

    def send(self, frames: int) -> float:
        """Send frames by the target interface (Linux 5.18); return nanoseconds for each, the receiver's work included.

        The receiver's work is done on the same CPU, whenever 64 frames have been sent.
        """
        return self.object.programs["emit"].test_run(self.frame, repeat=frames, live_frames=True).duration_ns

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.object.close()


def _code() -> bytes:
    try:
        return (files("pyxdp") / "pyxdp_bench.bpf.o").read_bytes()
    except FileNotFoundError as error:
        raise OperatorError(
            "the package has no pyxdp_bench.bpf.o", hint="install it with pip, which builds it"
        ) from error


def encoded(flows: Iterable[Flow]) -> bytes:
    """Return a ``struct flow`` for each."""
    return b"".join(map(_encoded, flows))


def _encoded(flow: Flow) -> bytes:
    whole = _packet(IPv4Address(flow.source), _TO, flow.source_port, flow.destination_port)
    return whole[12:16] + whole[20:24] + whole[10:12] + whole[36:38]


def _packet(source: IPv4Address, destination: IPv4Address, source_port: int = 0, destination_port: int = 0) -> bytes:
    """Return a SYN with checksums, as Linux would send it but for options."""
    ports = source_port.to_bytes(2, "big") + destination_port.to_bytes(2, "big")
    addresses = source.packed + destination.packed
    tcp = ports + bytes(8) + _SYN + bytes(4)
    tcp = tcp[:16] + _checksum(addresses + bytes((0, _TCP, 0, len(tcp))) + tcp) + tcp[18:]
    head = _HEADER + b"\0\0" + addresses
    return head[:10] + _checksum(head) + head[12:] + tcp


def _checksum(data: bytes) -> bytes:
    """Internet checksum (RFC 1071) of an even number of bytes."""
    total = sum(int.from_bytes(data[at : at + 2], "big") for at in range(0, len(data), 2))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return (~total & 0xFFFF).to_bytes(2, "big")
