"""Host endpoints that selectors of rules pick and that have no addresses (spec section 7.2)."""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from dataclasses import replace
from ipaddress import IPv6Network
from typing import TYPE_CHECKING, Final

from pyxdp.lint.boxes import TooManyPiecesError, subtract
from pyxdp.lint.finding import Code, Finding
from pyxdp.lint.places import rule_key, subject
from pyxdp.lint.world import effective_policy
from pyxdp.resolver import PolicyClass

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pyxdp.lint.finding import Example
    from pyxdp.lint.places import Place, RuleKey
    from pyxdp.lint.survey import Survey
    from pyxdp.lint.world import World
    from pyxdp.net import Address
    from pyxdp.resolver import AddressSet, EffectiveRule, Side

#: Addresses that no host has (RFC 6666), to mark host endpoints with.
_MARKS: Final = IPv6Network("100::/64")
_LISTED: Final = 3


def silent_peers(world: World) -> dict[tuple[RuleKey, str], tuple[str, ...]]:
    """Return the host endpoints without expectedIPs that each side of each rule picks by its selector.

    Each such endpoint is given an address that nobody has; the rules whose address sets hold it then pick the endpoint.
    """
    resources = world.resources
    silent = [endpoint for endpoint in resources.hostEndpoints if not endpoint.expectedIPs]
    if not silent:
        return {}
    marks = {it.metadata.name: _MARKS[number] for number, it in enumerate(silent)}
    marked = tuple(
        replace(it, expectedIPs=(marks[it.metadata.name],)) if it.metadata.name in marks else it
        for it in resources.hostEndpoints
    )
    policy = effective_policy(replace(resources, hostEndpoints=marked), world.resolver)
    known: dict[str, frozenset[int]] = {}
    found = {}
    for endpoint in policy.endpoints:
        tiers = (tier for tiers in endpoint.tiers.values() for tier in tiers)
        lists = (
            *(it for tier in tiers for it in tier.policies),
            *(it for its in endpoint.profiles.values() for it in its),
        )
        for rule in (rule for one in lists for rule in one.rules):
            for name, side in (("source", rule.source), ("destination", rule.destination)):
                key = (rule_key(rule.id), name)
                if key not in found:
                    names = [silent[number].metadata.name for number in sorted(_marked(side, known))]
                    found[key] = tuple(names)
    return {key: names for key, names in found.items() if names}


def listed(names: Sequence[str]) -> str:
    """Return the first few names, and how many more there are."""
    more = f" and {len(names) - _LISTED:,} more" if len(names) > _LISTED else ""
    return ", ".join(names[:_LISTED]) + more


def find_peers(survey: Survey) -> Iterator[Finding]:
    """Find host endpoints without expectedIPs that a rule's selector picks as a peer."""
    users: dict[tuple[str, ...], list[tuple[Place, str]]] = defaultdict(list)
    for (key, side), names in survey.silent_peers.items():
        places = survey.places.get(key)
        if places and places[0].reach.listed.boxes:  # otherwise it never matches, which is told anyway
            users[names].append((places[0], side))
    for names, uses in users.items():
        place, side = uses[0]
        rule = place.reach.listed.rule
        others = f"; so do {len(uses) - 1:,} more" if len(uses) > 1 else ""
        many = len(names) > 1
        yield Finding(
            code=Code.SILENT_PEER,
            subject=subject(rule.id),
            text=f"the selector of its {side} picks host endpoint{'s' if many else ''} {listed(names)}, "
            f"which {'have' if many else 'has'} no expectedIPs and so no address for any rule{others}",
            origin=rule.id.origin,
            example=_example(survey, place, rule, side),
        )


def _marked(side: Side, known: dict[str, frozenset[int]]) -> set[int]:
    """Return the numbers of the marks in what a side of a rule selects."""
    numbers: set[int] = set()
    for one in (*side.sets, *side.notSets):
        if not one.id.startswith("nets:"):
            if one.id not in known:
                known[one.id] = frozenset(_marks_in(one))
            numbers |= known[one.id]
    for ports in (side.ports, side.notPorts):
        numbers.update(_number(it.address) for it in (ports.members if ports else ()) if it.address in _MARKS)
    return numbers


def _marks_in(one: AddressSet) -> Iterator[int]:
    wanted: tuple[int, int] = (_MARKS.version, int(_MARKS.network_address))
    begin = bisect_left(one.networks, wanted, key=lambda it: (it.version, int(it.network_address)))
    for network in map(one.networks.__getitem__, range(begin, len(one.networks))):
        if network.network_address not in _MARKS:
            return
        if network.prefixlen == _MARKS.max_prefixlen:
            yield _number(network.network_address)


def _number(address: Address) -> int:
    return int(address) - int(_MARKS.network_address)


def _example(survey: Survey, place: Place, rule: EffectiveRule, side: str) -> Example | None:
    """Return a packet that the rule would match if the missing addresses were known: such a one of the missing host."""
    anywhere = replace(getattr(rule, side), sets=(), notSets=())
    boxes = survey.regions.of_rule(replace(rule, **{side: anywhere}))
    try:
        for box in place.reach.listed.boxes:
            boxes = subtract(boxes, box, survey.effort)
    except TooManyPiecesError:
        return None
    if not boxes:
        return None
    direction = rule.id.direction
    forwarded = place.chain.policy_class is PolicyClass.FORWARD
    return place.view.example(place.view.sample(boxes, direction), direction, forwarded=forwarded)
