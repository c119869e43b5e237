"""What a caller gives as members of a network set."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import TYPE_CHECKING, Final, TypeAlias

from pyxdp.errors import MembersError
from pyxdp.manifest.nodes import shorten
from pyxdp.net.addresses import parse_network
from pyxdp.net.prefixes import Prefixes

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pyxdp.net import Address, Network

#: An address or a prefix; as in manifests, host bits are cleared.
Member: TypeAlias = "str | Address | Network"

_SHOWN: Final = 3


def networks_of(members: Iterable[Member]) -> Prefixes:
    """Return members as prefixes.

    Raises:
        MembersError: some are neither addresses nor prefixes; names the first of them.
    """
    if isinstance(members, str | bytes):
        written = shorten(repr(members))
        raise MembersError("members are a list of addresses and prefixes, not one text", hint=f"write [{written}]")
    if isinstance(members, Prefixes):
        return members
    found: list[Network] = []
    wrong: list[str] = []
    for one in members:
        network = _network(one)
        if network is None:
            wrong.append(shorten(repr(one)))
        else:
            found.append(network)
    if wrong:
        more = f", and {len(wrong) - _SHOWN:,} more" if len(wrong) > _SHOWN else ""
        shown = ", ".join(wrong[:_SHOWN])
        raise MembersError(
            f"no address and no prefix: {shown}{more}", hint="write for example 203.0.113.7 or 2001:db8::/32"
        )
    return Prefixes.of(found)


def _network(member: object) -> Network | None:
    if isinstance(member, IPv4Network | IPv6Network):
        return member
    if not isinstance(member, str | IPv4Address | IPv6Address):
        return None
    try:
        return parse_network(str(member))[0]
    except ValueError:
        return None
