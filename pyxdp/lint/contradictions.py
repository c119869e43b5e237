"""Why a rule can never match, and the packets that come closest to it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from pyxdp.compiler.intervals import union
from pyxdp.lint.boxes import minus
from pyxdp.lint.regions import ADDRESSES
from pyxdp.resolver import Side

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyxdp.lint.boxes import Box
    from pyxdp.lint.regions import Regions
    from pyxdp.model import EntityRule, Rule
    from pyxdp.net.values import Family
    from pyxdp.resolver import EffectiveRule

_EVERY_FAMILY: Final[frozenset[Family]] = frozenset(ADDRESSES)


def contradiction(rule: EffectiveRule, written: Rule | None, regions: Regions) -> str:
    """Return why a rule that matches no packet matches none.

    Args:
        rule: resolved.
        written: as it stands in the manifest.
        regions: of all rules.
    """
    return next(_reasons(rule, written, regions), "its conditions exclude each other")


def nearest(rule: EffectiveRule, regions: Regions) -> list[Box]:
    """Return the packets that the rule would match if it asked for less: as little less as possible."""
    return next((boxes for candidate in _relaxed(rule) if (boxes := regions.of_rule(candidate))), [])


def _relaxed(rule: EffectiveRule) -> Iterator[EffectiveRule]:
    anywhere = {
        "source": replace(rule.source, sets=(), notSets=()),
        "destination": replace(rule.destination, sets=(), notSets=()),
    }
    for less in (rule, replace(rule, families=_EVERY_FAMILY)):
        yield less
        yield replace(less, source=replace(less.source, notSets=()))
        yield replace(less, destination=replace(less.destination, notSets=()))
        yield replace(less, source=anywhere["source"])
        yield replace(less, destination=anywhere["destination"])
        yield replace(less, source=anywhere["source"], destination=anywhere["destination"])
    most = replace(rule, families=_EVERY_FAMILY, notProtocol=None, notICMP=None)
    yield replace(
        most,
        source=Side(ports=rule.source.ports),
        destination=Side(ports=rule.destination.ports),
    )
    yield replace(most, source=Side(), destination=Side())


def _reasons(rule: EffectiveRule, written: Rule | None, regions: Regions) -> Iterator[str]:
    if not rule.families:
        yield "its IP version, protocol and prefixes exclude each other"
    if rule.protocol and rule.notProtocol and rule.protocol.number == rule.notProtocol.number:
        yield f"protocol and notProtocol are both {rule.protocol}"
    if rule.icmp and rule.notICMP and not regions.of_rule(replace(rule, source=Side(), destination=Side())):
        yield "notICMP excludes what icmp asks for"
    for name, side in (("source", rule.source), ("destination", rule.destination)):
        entity = getattr(written, name) if written else None
        yield from _port_reasons(name, side, entity)
        yield from _address_reasons(name, side, entity, rule, regions)
    both = [
        {family for family in ADDRESSES if regions.addresses(side.sets, side.notSets, family)} & rule.families
        for side in (rule.source, rule.destination)
    ]
    if not both[0] & both[1]:
        yield "source and destination have no IP version in common"


def _port_reasons(name: str, side: Side, entity: EntityRule | None) -> Iterator[str]:
    if side.ports is None:
        return
    if not side.ports.ranges and not side.ports.members:
        names = ", ".join(str(port) for port in entity.ports) if entity else ""
        yield f"no host endpoint that {name}.ports is about has expectedIPs and a port named {names}"
    excluded = union((one.first, one.last) for one in side.notPorts.ranges) if side.notPorts else ()
    wanted = union((one.first, one.last) for one in side.ports.ranges)
    if wanted and not side.ports.members and not minus(wanted, excluded):
        yield f"{name}.notPorts excludes all of {name}.ports"


def _address_reasons(
    name: str, side: Side, entity: EntityRule | None, rule: EffectiveRule, regions: Regions
) -> Iterator[str]:
    families = sorted(rule.families)
    for one in side.sets:
        if not any(regions.addresses((one,), (), family) for family in families):
            version = f" of IPv{families[0]}" if len(families) == 1 and one.networks else ""
            if one.id.startswith("nets:"):
                yield f"{name}.nets has no address{version}"
            else:
                yield f"the selector of {name}, {_selector(entity)}, selects no address{version}"
    if not any(regions.addresses(side.sets, (), family) for family in families):
        yield f"no address is in the nets of {name} and has what its selector asks for"
    if not any(regions.addresses(side.sets, side.notSets, family) for family in families):
        unwanted = "notNets" if side.notSets[0].id.startswith("nets:") else "notSelector"
        yield f"{name}.{unwanted} excludes every address that {name} asks for"


def _selector(entity: EntityRule | None) -> str:
    if entity is None:
        return "as it is"
    written = (entity.namespaceSelector, entity.selector, entity.notSelector and f"!({entity.notSelector})")
    accounts = entity.serviceAccounts
    names = (*accounts.names, accounts.selector) if accounts else ()
    return " && ".join(part for part in (*written, *names) if part)
