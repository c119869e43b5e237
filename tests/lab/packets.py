"""Packets made by hand, whole or in fragments, with right checksums: kernels take them for those of any other host."""

from __future__ import annotations

import secrets
import socket
from ipaddress import ip_address
from typing import TYPE_CHECKING, Final, TypeAlias

if TYPE_CHECKING:
    from tests.lab.network import Interface

Place: TypeAlias = tuple[str, int]

ICMP: Final = 1
TCP: Final = 6
UDP: Final = 17
ICMPV6: Final = 58

SYN: Final = 2
RST: Final = 4
ACK: Final = 16

_FRAGMENT: Final = 44


def send(end: Interface, to: Interface, *packets: bytes) -> None:
    """Put IP packets on the cable between two interfaces."""
    with end.namespace.entered():
        wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
    macs = b"".join(bytes.fromhex(it.mac.replace(":", "")) for it in (to, end))
    with wire:
        wire.bind((end.name, 0))
        for packet in packets:
            wire.send(macs + (b"\x08\x00" if packet[0] >> 4 == 4 else b"\x86\xdd") + packet)


def udp(source: Place, destination: Place, payload: bytes) -> bytes:
    """A UDP datagram without its IP header."""
    head = _u16(source[1], destination[1], 8 + len(payload))
    return head + _transport_checksum(source[0], destination[0], UDP, head + b"\0\0" + payload) + payload


def tcp(source: Place, destination: Place, flags: int) -> bytes:
    """A TCP segment without payload and IP header."""
    head, tail = _u16(source[1], destination[1]) + bytes(8) + bytes([0x50, flags, 0x10, 0]), b"\0\0"
    return head + _transport_checksum(source[0], destination[0], TCP, head + b"\0\0" + tail) + tail


def echo(source: str, destination: str, payload: bytes) -> bytes:
    """An ICMP or ICMPv6 echo request without its IP header; identifier and sequence number are 1."""
    body = _u16(1, 1) + payload
    if ":" in source:
        return b"\x80\0" + _transport_checksum(source, destination, ICMPV6, b"\x80\0\0\0" + body) + body
    return b"\x08\0" + checksum(b"\x08\0\0\0" + body) + body


def icmp_error(kind: int, code: int, rest: int, quoted: bytes) -> bytes:
    """An ICMP error without its IP header; ``rest`` is its second word, ``quoted`` what it complains of."""
    body = rest.to_bytes(4, "big") + quoted
    return bytes([kind, code]) + checksum(bytes([kind, code, 0, 0]) + body) + body


def ip(source: str, destination: str, protocol: int, payload: bytes, *, options: bytes = b"") -> bytes:
    """A whole packet of the addresses' family; ``options`` for IPv4, a multiple of 4 bytes."""
    if ":" in source:
        return _ipv6(source, destination, protocol, payload)
    return _ipv4((source, destination), protocol, payload, b"\0\0\x40\0", options)


def fragments(source: str, destination: str, protocol: int, payload: bytes, *, size: int = 64) -> list[bytes]:
    """The packet in fragments of ``size`` bytes (a multiple of 8) of payload, in order; no other packet is mixed in."""
    pieces, identification = [], secrets.token_bytes(4)
    for at in range(0, len(payload), size):
        piece, more = payload[at : at + size], at + size < len(payload)
        if ":" in source:
            header = bytes([protocol, 0]) + _u16(at | more) + identification
            pieces.append(_ipv6(source, destination, _FRAGMENT, header + piece))
        else:
            fragment = identification[:2] + _u16(at // 8 | more << 13)
            pieces.append(_ipv4((source, destination), protocol, piece, fragment))
    return pieces


def checksum(data: bytes) -> bytes:
    """Internet checksum (RFC 1071)."""
    data += bytes(len(data) % 2)
    total = sum(int.from_bytes(data[at : at + 2], "big") for at in range(0, len(data), 2))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return _u16(~total & 0xFFFF)


def _ipv4(ends: tuple[str, str], protocol: int, payload: bytes, fragment: bytes, options: bytes = b"") -> bytes:
    words = 5 + len(options) // 4
    head = bytes([0x40 | words, 0]) + _u16(words * 4 + len(payload)) + fragment + bytes([64, protocol])
    tail = b"".join(ip_address(end).packed for end in ends) + options
    return head + checksum(head + b"\0\0" + tail) + tail + payload


def _ipv6(source: str, destination: str, following: int, payload: bytes) -> bytes:
    head = b"\x60\0\0\0" + _u16(len(payload)) + bytes([following, 64])
    return head + ip_address(source).packed + ip_address(destination).packed + payload


def _transport_checksum(source: str, destination: str, protocol: int, data: bytes) -> bytes:
    addresses = ip_address(source).packed + ip_address(destination).packed
    return checksum(addresses + len(data).to_bytes(4, "big") + protocol.to_bytes(4, "big") + data)


def _u16(*numbers: int) -> bytes:
    return b"".join(number.to_bytes(2, "big") for number in numbers)
