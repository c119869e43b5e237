"""Packets as people write them on a command line: ``tcp 192.0.2.7:40000 10.0.0.1:6379``."""

from __future__ import annotations

import re
from ipaddress import ip_address
from typing import TYPE_CHECKING, Final

import click

from pyxdp.net import Packet
from pyxdp.net.values import ICMP, ICMPV6, PORT_PROTOCOLS, PROTOCOL_NUMBERS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyxdp.net import Address

_NUMBERS: Final = {name.lower(): number for name, number in PROTOCOL_NUMBERS.items()}
#: A source port that nobody named: the first of those that clients use (RFC 6335).
_SOME_PORT: Final = 49152
_ECHO_REQUEST: Final = {ICMP: 8, ICMPV6: 128}
_WITH_PORT: Final = re.compile(r"\[([^\]]+)\]:(\d+)|([^:]+):(\d+)")


def parse_flow(words: Sequence[str]) -> Packet:
    """Return the packet that ``PROTOCOL SOURCE DESTINATION`` stands for.

    A protocol is a name or a number; for ICMP the type and code may follow, as in ``icmp:3/4``, and are else those of
    an echo request. An address takes a port as ``192.0.2.1:80`` or ``[2001:db8::1]:80``; without one, a source port is
    49152.

    Raises:
        click.BadParameter: it makes no sense.
    """
    if len(words) != 3:  # noqa: PLR2004 - the words of the usage line
        raise click.UsageError("name the packet as PROTOCOL SOURCE DESTINATION, or give --frame or --pcap")
    protocol, kind, code = _protocol(words[0])
    source, source_port = _end(words[1])
    destination, destination_port = _end(words[2])
    if source.version != destination.version:
        raise click.BadParameter(f"{source} and {destination} are not of the same IP version")
    if protocol in PORT_PROTOCOLS:
        if destination_port is None:
            raise click.BadParameter(f"{words[2]}: {words[0]} needs a destination port")
        source_port = _SOME_PORT if source_port is None else source_port
    elif source_port is not None or destination_port is not None:
        raise click.BadParameter(f"{words[0]} has no ports")
    return Packet(
        protocol=protocol,
        source=source,
        destination=destination,
        source_port=source_port,
        destination_port=destination_port,
        icmp_type=kind,
        icmp_code=code,
    )


def _protocol(word: str) -> tuple[int, int | None, int | None]:
    """Return the number, and ICMP type and code if it is ICMP."""
    name, _, detail = word.lower().partition(":")
    number = int(name) if name.isdecimal() else _NUMBERS.get(name, -1)
    if number not in range(256):
        raise click.BadParameter(f"{word}: not a protocol; {', '.join(_NUMBERS)}, or a number up to 255")
    if number not in _ECHO_REQUEST:
        if detail:
            raise click.BadParameter(f"{word}: only ICMP has a type")
        return number, None, None
    kind, _, code = detail.partition("/")
    if not detail:
        return number, _ECHO_REQUEST[number], 0
    return number, _byte(kind, word), _byte(code or "0", word)


def _byte(text: str, word: str) -> int:
    if text.isdecimal() and int(text) in range(256):
        return int(text)
    raise click.BadParameter(f"{word}: ICMP type and code are written as in icmp:3/4")


def _end(word: str) -> tuple[Address, int | None]:
    found = _WITH_PORT.fullmatch(word)
    address, port = (found[1] or found[3], found[2] or found[4]) if found else (word, None)
    try:
        parsed = ip_address(address)
    except ValueError:
        raise click.BadParameter(f"{word}: not an address, with or without a port") from None
    if port is not None and int(port) not in range(65536):
        raise click.BadParameter(f"{word}: a port is at most 65535")
    return parsed, None if port is None else int(port)


def parse_hex(text: str) -> bytes:
    """Return the bytes of a frame in hex; blanks and colons may be anywhere.

    Raises:
        click.BadParameter: it is not hex.
    """
    try:
        return bytes.fromhex(re.sub(r"[\s:]", "", text.removeprefix("0x")))
    except ValueError:
        raise click.BadParameter("--frame: not a whole number of bytes in hex") from None
