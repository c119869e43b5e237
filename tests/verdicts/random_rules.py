"""Random rules of policies: valid, and so that packets do match them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pyxdp.model import Action, EntityRule, PolicyType, Rule
from tests.verdicts import vocabulary
from tests.verdicts.dice import once_in, some

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from random import Random

    from pyxdp.net import PortRange
    from pyxdp.net.values import Family

_ACTIONS: Final = (
    *(Action.DENY, Action.ALLOW) * 2,
    *(Action.PASS,) * 2,
    Action.LOG,
)
_FAMILIES: Final[tuple[Family, ...]] = (4, 6)


def random_rules(random: Random, direction: PolicyType, *, least: int = 0, most: int = 5) -> tuple[Rule, ...]:
    """Make the rules of one direction of a policy or profile."""
    return tuple(random_rule(random, direction) for _ in range(least + random.randrange(most - least + 1)))


def random_rule(random: Random, direction: PolicyType) -> Rule:
    """Make a rule that may name prefixes of one IP version, and ports or ICMP types as its protocol lets it."""
    family = random.choice(_FAMILIES)
    kind = random.choice((_with_ports, _of_any_protocol, _of_icmp, _without_ports))
    fields = kind(random, family)
    action = random.choice(_ACTIONS)
    return Rule(
        action=action,
        ipVersion=family if once_in(random, 4) else None,
        notProtocol=random.choice(vocabulary.NUMBERED) if once_in(random, 24) else None,
        http=action is Action.ALLOW
        and direction is PolicyType.INGRESS
        and _may_be_http(fields)
        and once_in(random, 12),
        **fields,
    )


def _with_ports(random: Random, family: Family) -> dict[str, Any]:
    fields = {**_addresses(family), "ports": _ports, "notPorts": _ports}
    return {"protocol": random.choice(vocabulary.WITH_PORTS), **_sides(random, fields)}


def _of_any_protocol(random: Random, family: Family) -> dict[str, Any]:
    return _sides(random, {**_addresses(family), "ports": _names, "notPorts": _names})


def _without_ports(random: Random, family: Family) -> dict[str, Any]:
    return {"protocol": random.choice(vocabulary.WITHOUT_PORTS), **_sides(random, _addresses(family))}


def _of_icmp(random: Random, family: Family) -> dict[str, Any]:
    return {
        "protocol": random.choice(vocabulary.ICMP[family]),
        "icmp": None if once_in(random, 2) else random.choice(vocabulary.ICMP_MATCHES),
        "notICMP": random.choice(vocabulary.ICMP_MATCHES) if once_in(random, 2) else None,
        **_sides(random, _addresses(family)),
    }


def _may_be_http(fields: Mapping[str, Any]) -> bool:
    protocol = fields.get("protocol")
    return protocol is None or protocol.number == 6


def _addresses(family: Family) -> dict[str, Callable[[Random], Any]]:
    return {
        "nets": lambda random: some(random, vocabulary.NETWORKS[family], least=1, most=3),
        "notNets": lambda random: some(random, vocabulary.NARROW_NETWORKS[family], least=1, most=2),
        "selector": lambda random: random.choice(vocabulary.SELECTORS),
        "notSelector": lambda random: random.choice(vocabulary.SELECTORS),
        "namespaceSelector": lambda random: random.choice(vocabulary.NAMESPACE_SELECTORS),
    }


def _ports(random: Random) -> tuple[PortRange | str, ...]:
    kinds: Sequence[Sequence[PortRange | str]] = (
        vocabulary.SINGLE_PORTS,
        vocabulary.PORT_RANGES,
        vocabulary.PORT_NAMES,
    )
    return tuple(random.choice(random.choice(kinds)) for _ in range(1 + random.randrange(3)))


def _names(random: Random) -> tuple[str, ...]:
    return some(random, vocabulary.PORT_NAMES, least=1, most=2)


def _sides(random: Random, fields: Mapping[str, Callable[[Random], Any]]) -> dict[str, EntityRule]:
    return {"source": _entity(random, fields), "destination": _entity(random, fields)}


def _entity(random: Random, fields: Mapping[str, Callable[[Random], Any]]) -> EntityRule:
    """One side of a rule. At most two fields are given, or hardly any packet would match."""
    wanted = random.choice((0, 1, 1, 2))
    given = {name: fields[name](random) for name in some(random, tuple(fields), least=wanted, most=wanted)}
    if once_in(random, 40):
        given["serviceAccounts"] = random.choice(vocabulary.SERVICE_ACCOUNTS)
    return EntityRule(**given)
