"""Rules as access-control lists, firewalls and IP chains have them.

After the observations of D. Taylor and J. Turner, "ClassBench: a packet classification benchmark" (INFOCOM 2005,
IEEE/ACM Transactions on Networking 15(3), 2007) on filter sets of providers and vendors: which protocols, which classes
of ports (any, ephemeral, low, a range, one port) on which side, how long the prefixes are, and how much the addresses
of one rule lie inside those of another. The figures below are round ones in the spirit of the three families, not those
of any list; the structure (prefixes grow out of prefixes that are there already) makes rules overlap and nest.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import IPv4Network
from random import Random
from typing import TYPE_CHECKING, Any, Final

from pyxdp.bench.addresses import RESERVED

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

#: Classes of ports: any, 1024 to 65535, 1 to 1023, some other range, one port.
ANY, HIGH, LOW, RANGE, EXACT = "any", "high", "low", "range", "exact"
_FIXED: Final = {HIGH: (1024, 65535), LOW: (1, 1023)}
#: Ports that lists name again and again.
_FAMOUS: Final = (
    20,
    21,
    22,
    25,
    53,
    80,
    110,
    123,
    135,
    139,
    143,
    161,
    389,
    443,
    445,
    514,
    1433,
    1521,
    3306,
    3389,
    8080,
)
_FAME: Final = 0.7
#: Bits of an IPv4 address.
_LONGEST: Final = 32


@dataclass(frozen=True)
class Profile:
    """What rules of one family look like; the mappings are weights.

    Attributes:
        protocols: names, ``ICMP`` among them; empty: any.
        source_ports: classes of ports.
        destination_ports: likewise.
        source_lengths: of prefixes; 0: any address.
        destination_lengths: likewise.
        reuse: how many prefixes of a rule are those of another one.
        nest: how many of the others lie inside one of another rule.
        deny: how many rules deny.
        negate: how many rules have a negated field.
    """

    protocols: Mapping[str, float]
    source_ports: Mapping[str, float]
    destination_ports: Mapping[str, float]
    source_lengths: Mapping[int, float]
    destination_lengths: Mapping[int, float]
    reuse: float = 0.4
    nest: float = 0.5
    deny: float = 0.5
    negate: float = 0.05


PROFILES: Final[Mapping[str, Profile]] = {
    # Both ends are named, servers by one port; sources have any port.
    "acl": Profile(
        protocols={"TCP": 75, "UDP": 15, "ICMP": 4, "": 6},
        source_ports={ANY: 96, HIGH: 2, EXACT: 1, RANGE: 1},
        destination_ports={ANY: 12, EXACT: 72, RANGE: 11, HIGH: 3, LOW: 2},
        source_lengths={0: 4, 8: 2, 16: 10, 20: 6, 24: 34, 27: 8, 28: 8, 30: 4, 32: 24},
        destination_lengths={0: 1, 16: 4, 21: 4, 24: 20, 27: 7, 28: 8, 30: 6, 32: 50},
    ),
    # One end is often open, ports are classes.
    "fw": Profile(
        protocols={"TCP": 56, "UDP": 26, "ICMP": 7, "": 11},
        source_ports={ANY: 60, HIGH: 20, EXACT: 15, LOW: 2, RANGE: 3},
        destination_ports={ANY: 25, EXACT: 52, HIGH: 13, LOW: 4, RANGE: 6},
        source_lengths={0: 35, 8: 3, 16: 8, 22: 4, 24: 15, 28: 4, 30: 3, 32: 28},
        destination_lengths={0: 25, 14: 3, 16: 6, 22: 5, 24: 16, 28: 5, 30: 4, 32: 36},
        reuse=0.55,
    ),
    # Address pairs, many without ports.
    "ipc": Profile(
        protocols={"TCP": 55, "UDP": 22, "ICMP": 8, "": 15},
        source_ports={ANY: 80, EXACT: 12, HIGH: 5, RANGE: 3},
        destination_ports={ANY: 42, EXACT: 46, HIGH: 6, LOW: 2, RANGE: 4},
        source_lengths={0: 9, 8: 3, 16: 9, 21: 5, 24: 22, 26: 5, 28: 7, 30: 5, 32: 35},
        destination_lengths={0: 8, 8: 2, 16: 8, 22: 5, 24: 24, 26: 5, 28: 7, 30: 5, 32: 36},
    ),
}


@dataclass
class _Side:
    """The prefixes of one side of all rules so far."""

    random: Random
    profile: Profile
    lengths: Mapping[int, float]
    known: list[IPv4Network] = field(default_factory=list)

    def prefix(self) -> IPv4Network | None:
        """Return the next rule's prefix; ``None`` for any address."""
        length = _weighted(self.random, self.lengths)
        if length == 0:
            return None
        if self.known and self.random.random() < self.profile.reuse:
            return self.random.choice(self.known)
        made = self._inside(length) or _somewhere(self.random, length)
        self.known.append(made)
        return made

    def _inside(self, length: int) -> IPv4Network | None:
        """A prefix in one that is there; where that one is as long, one more specific than it."""
        if not self.known or self.random.random() >= self.profile.nest:
            return None
        around = self.random.choice(self.known)
        if around.prefixlen == _LONGEST:
            return None
        longer = max(length, around.prefixlen + 1)
        offset = self.random.randrange(1 << longer - around.prefixlen) << _LONGEST - longer
        return IPv4Network((int(around.network_address) + offset, longer))


def rules(family: str, count: int, seed: int = 0) -> list[dict[str, Any]]:
    """Return the rules of one family.

    Args:
        family: ``acl``, ``fw`` or ``ipc``.
        count: how many.
        seed: the same gives the same rules.
    """
    random, profile = Random(f"{family}{seed}"), PROFILES[family]  # noqa: S311 - not for secrets
    source = _Side(random, profile, profile.source_lengths)
    destination = _Side(random, profile, profile.destination_lengths)
    made: list[dict[str, Any]] = []
    while len(made) < count:
        rule = _rule(random, profile, source, destination)
        if len(rule) > 1:  # a rule without any condition would be the last one to matter
            made.append(rule)
    return made


def _rule(random: Random, profile: Profile, source: _Side, destination: _Side) -> dict[str, Any]:
    rule: dict[str, Any] = {"action": "Deny" if random.random() < profile.deny else "Allow"}
    protocol = _weighted(random, profile.protocols)
    if protocol:
        rule["protocol"] = protocol
    if protocol == "ICMP":
        rule["ipVersion"] = 4
        rule["icmp"] = {"type": random.choice((0, 3, 8, 11))}
    with_ports = protocol in ("TCP", "UDP")
    sides = (source, "source", profile.source_ports), (destination, "destination", profile.destination_ports)
    for side, name, classes in sides:
        conditions = _conditions(random, side.prefix(), _ports(random, classes) if with_ports else None)
        if conditions:
            rule[name] = conditions
    if random.random() < profile.negate:
        _negate(random, rule)
    return rule


def _conditions(random: Random, prefix: IPv4Network | None, ports: str | int | None) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if prefix is not None:
        found["nets"] = [str(prefix)]
    if ports is not None:
        found["ports"] = [ports]
        if isinstance(ports, int) and random.random() < 0.1:  # noqa: PLR2004 - some rules name two
            found["ports"].append(random.choice(_FAMOUS))
    return found


def _negate(random: Random, rule: dict[str, Any]) -> None:
    """Take something out of a rule again: a part of its source, or a port."""
    inside = rule.get("source", {}).get("nets")
    if inside:
        around = IPv4Network(inside[0])
        if around.prefixlen < _LONGEST:
            hole = next(around.subnets(new_prefix=min(_LONGEST, around.prefixlen + 3)))
            rule["source"]["notNets"] = [str(hole)]
    elif "protocol" in rule and rule["protocol"] != "ICMP" and "ports" not in rule.get("destination", {}):
        rule.setdefault("destination", {})["notPorts"] = [random.choice(_FAMOUS)]


def _ports(random: Random, classes: Mapping[str, float]) -> str | int | None:
    kind = _weighted(random, classes)
    if kind == ANY:
        return None
    if kind == EXACT:
        return random.choice(_FAMOUS) if random.random() < _FAME else random.randrange(1, 1 << 16)
    first, last = _FIXED.get(kind) or sorted(random.sample(range(1, 1 << 16), 2))
    return f"{first}:{last}"


def _somewhere(random: Random, length: int) -> IPv4Network:
    first = random.choice([number for number in range(1, 224) if number not in RESERVED])
    address = first << 24 | random.randrange(1 << 24)
    return IPv4Network((address >> _LONGEST - length << _LONGEST - length, length))


def _weighted(random: Random, weights: Mapping[Any, float]) -> Any:
    choices: Sequence[Any] = list(weights)
    return random.choices(choices, list(weights.values()))[0]
