"""The canonical text of a rule: equal for equal rules, another one after every edit that could matter."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from pyxdp.net.values import PROTOCOL_NUMBERS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from pyxdp.model import EntityRule, IcmpMatch, Rule
    from pyxdp.net import Network, PortRange, Protocol
    from pyxdp.selector import Selector

_NAMES: Final = {number: name for name, number in PROTOCOL_NUMBERS.items() if not name.startswith("ICMP")}


def rule_content(rule: Rule, parse: Callable[[str], Selector]) -> str:
    """Return action and match as compact JSON, in Calico's words.

    Spellings that mean the same give the same text: 6 and TCP, order of lists, blanks in selectors. The members of
    selectors are not part of it: a rule stays itself when somebody else's addresses change.
    """
    fields = {
        "action": rule.action.value,
        "ipVersion": rule.ipVersion,
        "protocol": _protocol(rule.protocol),
        "notProtocol": _protocol(rule.notProtocol),
        "icmp": _icmp(rule.icmp),
        "notICMP": _icmp(rule.notICMP),
        "source": _entity(rule.source, parse),
        "destination": _entity(rule.destination, parse),
    }
    given = {name: value for name, value in fields.items() if value is not None}
    return json.dumps(given, ensure_ascii=False, separators=(",", ":"), sort_keys=True)


def _protocol(protocol: Protocol | None) -> str | int | None:
    """Return a name or number; ICMP by number is not the same as by name, which implies an IP version."""
    if protocol is None:
        return None
    if protocol.implied_family:
        return protocol.name
    return _NAMES.get(protocol.number, protocol.number)


def _icmp(icmp: IcmpMatch | None) -> dict[str, int] | None:
    if icmp is None:
        return None
    return {name: value for name, value in (("type", icmp.type), ("code", icmp.code)) if value is not None}


def _entity(entity: EntityRule, parse: Callable[[str], Selector]) -> dict[str, Any] | None:
    def canonical(selector: str) -> str:
        return parse(selector).canonical if selector else ""

    accounts, services = entity.serviceAccounts, entity.services
    fields = {
        "nets": _networks(entity.nets),
        "notNets": _networks(entity.notNets),
        "selector": canonical(entity.selector),
        "notSelector": canonical(entity.notSelector),
        "namespaceSelector": canonical(entity.namespaceSelector),
        "ports": _ports(entity.ports),
        "notPorts": _ports(entity.notPorts),
        "serviceAccounts": accounts
        and {"names": sorted(set(accounts.names)), "selector": canonical(accounts.selector)},
        "services": services and {"name": services.name, "namespace": services.namespace},
    }
    return {name: value for name, value in fields.items() if value} or None


def _networks(networks: Iterable[Network]) -> list[str]:
    return sorted({str(network) for network in networks})


def _ports(ports: Iterable[PortRange | str]) -> list[str]:
    return sorted({str(port) for port in ports})
