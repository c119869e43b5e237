"""Readers of addresses, prefixes, protocols, ports and selectors (spec sections 1.1, 1.9, 1.10 and 8)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from pyxdp.errors import SelectorSyntaxError
from pyxdp.manifest.names import PORT_NAME_RULE, is_port_name
from pyxdp.manifest.nodes import shorten
from pyxdp.manifest.place import suggest
from pyxdp.manifest.readers import text, word
from pyxdp.net import PortRange, Protocol
from pyxdp.net.addresses import parse_address, parse_network
from pyxdp.net.values import PROTOCOL_NUMBERS
from pyxdp.selector import parse

if TYPE_CHECKING:
    from pyxdp.manifest.place import Place
    from pyxdp.net import Address, Network

MAX_SELECTOR: Final = 1024
MAX_PORT: Final = 65535
MAX_PROTOCOL: Final = 255

_DIGITS: Final = re.compile(r"[0-9]{1,9}")
_RANGE: Final = re.compile(r"([0-9]{1,9}):([0-9]{1,9})")
_GLOBAL: Final = re.compile(r"[ \t]*global\([ \t]*\)[ \t]*")


def address(place: Place) -> Address | None:
    """Read an IPv4 or IPv6 address, no mask."""
    written = text(place)
    if written is None:
        return None
    try:
        return parse_address(written)
    except ValueError:
        hint = "; an address here has no mask" if "/" in written else ""
        place.problem(f"must be an IPv4 or IPv6 address, not `{shorten(written)}`{hint}")
        return None


def strict_network(place: Place) -> Network | None:
    """Read a prefix of a rule: the length must be written and host bits be zero."""
    written = text(place)
    if written is None:
        return None
    try:
        network, canonical = parse_network(written)
    except ValueError:
        place.problem(f"must be a prefix such as 10.0.0.0/8 or 2001:db8::/32, not `{shorten(written)}`")
        return None
    if "/" not in written:
        place.problem(f"a prefix in a rule needs its length: write {network}")
    elif not canonical:
        single = f"{written.partition('/')[0]}/{network.max_prefixlen}"
        place.problem(f"`{written}` has host bits set: write {network}, or {single} for the one address")
    else:
        return network
    return None


def loose_network(place: Place) -> Network | None:
    """Read an entry of a network set: a prefix, whose host bits are cleared, or an address."""
    written = text(place)
    if written is None:
        return None
    try:
        return parse_network(written)[0]
    except ValueError:
        place.problem(f"must be an address or a prefix such as 10.0.0.0/8 or 2001:db8::/32, not `{shorten(written)}`")
        return None


def protocol(place: Place) -> Protocol | None:
    """Read a protocol: a name as Calico spells it, or a number from 1 to 255."""
    written = word(place)
    if written is None:
        return None
    if written in PROTOCOL_NUMBERS:
        return Protocol(PROTOCOL_NUMBERS[written], written)
    if _DIGITS.fullmatch(written) and 1 <= int(written) <= MAX_PROTOCOL:
        return Protocol(int(written))
    alike = suggest(written, PROTOCOL_NUMBERS)
    hint = f"; did you mean `{alike}`?" if alike else ""
    wanted = f"must be one of {', '.join(PROTOCOL_NUMBERS)}, or a number from 1 to {MAX_PROTOCOL}"
    place.problem(f"{wanted}, not `{shorten(written)}`{hint}")
    return None


def port(place: Place) -> PortRange | str | None:
    """Read a port of a rule: a number, a range ``first:last``, or the name of an endpoint's port."""
    written = word(place)
    if written is None:
        return None
    bounds = _RANGE.fullmatch(written)
    if bounds or _DIGITS.fullmatch(written):
        first, last = (int(bounds[1]), int(bounds[2])) if bounds else (int(written), int(written))
        if 1 <= first <= last <= MAX_PORT:
            return PortRange(first, last)
        order = f"; a range begins with the lower port, {last}:{first}" if first > last else ""
        place.problem(f"ports go from 1 to {MAX_PORT}, not `{shorten(written)}`{order}")
        return None
    if is_port_name(written):
        return written
    forms = f"must be a port from 1 to {MAX_PORT}, a range such as 8000:8999, or a port name"
    place.problem(f"{forms} (a name {PORT_NAME_RULE}), not `{shorten(written)}`")
    return None


def selector(place: Place) -> str | None:
    """Read a selector; ``global()`` is not allowed in it."""
    return _selector(place, whole_global=False)


def namespace_selector(place: Place) -> str | None:
    """Read the namespaceSelector of a rule, which may be ``global()`` and nothing else."""
    return _selector(place, whole_global=True)


def _selector(place: Place, *, whole_global: bool) -> str | None:
    written = text(place)
    if written is None:
        return None
    if len(written) > MAX_SELECTOR:
        place.problem(f"has {len(written):,} characters, and a selector may have at most {MAX_SELECTOR:,}")
        return None
    where = written.find("global(")
    if where >= 0 and not (whole_global and _GLOBAL.fullmatch(written)):
        allowed = "must be the whole selector" if whole_global else "is only allowed as namespaceSelector of a rule"
        place.problem(f"`global()` {allowed}", offset=where)
        return None
    try:
        parse(written)
    except SelectorSyntaxError as error:
        hint = f"; {error.hint}" if error.hint else ""
        place.problem(f"{error.message}{hint}", offset=error.position)
        return None
    return written
