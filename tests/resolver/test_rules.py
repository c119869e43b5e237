"""Families and identity of rules (spec sections 8.1 and 8.4)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from pyxdp.model import Action, IcmpMatch, Origin, PolicyType, Rule, ServiceAccountMatch
from pyxdp.net import PortRange
from pyxdp.resolver import Direction, PolicyClass
from tests.resolver.build import (
    ALLOW,
    effective,
    entity,
    global_set,
    host,
    only_rule,
    policy,
    port,
    proto,
    rule,
    tier,
    tiers_of,
)

if TYPE_CHECKING:
    from pyxdp.resolver import EffectiveRule


def resolved(one: Rule) -> EffectiveRule:
    return only_rule(effective(host(), policy("p", one)))


@pytest.mark.parametrize(
    ("one", "families"),
    [
        (rule(), {4, 6}),
        (rule(ipVersion=4), {4}),
        (rule(ipVersion=6), {6}),
        (rule(protocol="TCP"), {4, 6}),
        (rule(protocol="ICMP"), {4}),
        (rule(protocol="ICMPv6"), {6}),
        (rule(protocol=1), {4, 6}),
        (rule(protocol=58), {4, 6}),
        (rule(notProtocol=proto("ICMP")), {4, 6}),
        (rule(protocol="ICMP", ipVersion=6), set()),
        (rule(source=entity("10.0.0.0/8")), {4}),
        (rule(destination=entity("fd00::/8")), {6}),
        (rule(source=entity("0.0.0.0/0")), {4}),
        (rule(source=entity(not_nets="10.0.0.0/8")), {4}),
        (rule(destination=entity(not_nets="fd00::/8")), {6}),
        (rule(source=entity("10.0.0.0/8 fd00::/8")), {4, 6}),
        (rule(source=entity("10.0.0.0/8"), destination=entity("fd00::/8")), set()),
        (rule(source=entity("10.0.0.0/8"), destination=entity(not_nets="fd00::/8")), set()),
        (rule(source=entity("10.0.0.0/8"), ipVersion=6), set()),
        (rule(source=entity(not_nets="0.0.0.0/0")), set()),
        (rule(source=entity(not_nets="10.0.0.0/8 0.0.0.0/0")), set()),
        (rule(source=entity(not_nets="::/0 10.0.0.0/8")), {4}),
        (rule(source=entity(selector="kind == 'v4'")), {4, 6}),
        (rule(source=entity(notSelector="kind == 'v4'")), {4, 6}),
    ],
    ids=lambda value: repr(value)[:100],
)
def test_families(one: Rule, families: set[int]) -> None:
    result = effective(host(), global_set("g", "10.0.0.0/8", {"kind": "v4"}), policy("p", one))
    assert only_rule(result).families == families
    notice = (
        "GlobalNetworkPolicy/p: ingress[0]: never matches: its IP versions, protocol and prefixes exclude each other"
    )
    assert result.notices == ((notice,) if not families else ())


def test_match_fields_are_handed_on() -> None:
    one = rule(
        Action.LOG,
        "ICMP",
        notProtocol=proto(7),
        icmp=IcmpMatch(8, 0),
        notICMP=IcmpMatch(3),
        destination=entity("10.0.0.0/8"),
    )
    found = resolved(one)
    assert (found.action, found.protocol, found.notProtocol) == (Action.LOG, proto("ICMP"), proto(7))
    assert (found.icmp, found.notICMP) == (IcmpMatch(8, 0), IcmpMatch(3))
    assert [one.id for one in found.destination.sets] == ["nets:10.0.0.0/8"]
    assert found.source.sets == ()


def test_http_is_noticed() -> None:
    (notice,) = effective(host(), policy("p", rule(protocol="TCP", http=True))).notices
    assert notice.startswith("GlobalNetworkPolicy/p: ingress[0]: http is not looked at")


def test_identity_says_where_the_rule_stands() -> None:
    where = Origin("policy.yaml", 12)
    written = policy(
        "p", tier="t", types=(PolicyType.EGRESS,), egress=(ALLOW, replace(rule(Action.DENY), origin=where))
    )
    (only,) = tiers_of(effective(host(), tier("t"), written), PolicyClass.UNTRACKED, Direction.EGRESS)
    found = only.policies[0].rules[1].id
    assert (found.tier, found.kind, found.policy) == ("t", "GlobalNetworkPolicy", "p")
    assert (found.direction, found.index, found.origin) == (Direction.EGRESS, 1, where)


def test_identity_does_not_hang_on_the_place_in_the_file() -> None:
    assert (
        resolved(replace(ALLOW, origin=Origin("a.yaml", 1))).id
        == resolved(replace(ALLOW, origin=Origin("b.yaml", 2))).id
    )


def test_content_is_readable() -> None:
    one = rule(protocol="TCP", source=entity(selector="role=='db'"), destination=entity(ports=(port(6379), "redis")))
    assert resolved(one).id.content == (
        '{"action":"Allow","destination":{"ports":["6379","redis"]},"protocol":"TCP",'
        '"source":{"selector":"role == \\"db\\""}}'
    )


SAME = [
    (rule(protocol="TCP"), rule(protocol=6)),
    (rule(notProtocol=proto("SCTP")), rule(notProtocol=proto(132))),
    (rule(source=entity("10.0.0.0/8 9.0.0.0/8")), rule(source=entity("9.0.0.0/8 10.0.0.0/8 9.0.0.0/8"))),
    (rule(source=entity(selector="a=='b'")), rule(source=entity(selector='(a == "b")'))),
    (rule(source=entity(notSelector="a in {'y','x'}")), rule(source=entity(notSelector="a in {'x', 'y', 'x'}"))),
    (rule(source=entity(ports=(port(1), port(2)))), rule(source=entity(ports=(port(2), port(1))))),
    (
        rule(source=entity(serviceAccounts=ServiceAccountMatch(names=("a", "b")))),
        rule(source=entity(serviceAccounts=ServiceAccountMatch(names=("b", "a")))),
    ),
    (rule(), rule(annotations={"note": "nothing"})),
]

DIFFERENT = [
    rule(),
    rule(Action.DENY),
    rule(ipVersion=4),
    rule(protocol="TCP"),
    rule(protocol="UDP"),
    rule(protocol="ICMP"),
    rule(protocol=1),
    rule(protocol=1, icmp=IcmpMatch()),
    rule(protocol=1, icmp=IcmpMatch(0)),
    rule(protocol=1, icmp=IcmpMatch(0, 0)),
    rule(protocol=1, notICMP=IcmpMatch(0, 0)),
    rule(notProtocol=proto("TCP")),
    *(
        made
        for one in (
            entity("10.0.0.0/8"),
            entity("10.0.0.0/9"),
            entity("10.0.0.0/8 11.0.0.0/8"),
            entity(not_nets="10.0.0.0/8"),
            entity(selector="a == 'b'"),
            entity(selector="a != 'b'"),
            entity(notSelector="a == 'b'"),
            entity(namespaceSelector="a == 'b'"),
            entity(selector="a == '\"b'"),
            entity(ports=(port(80),)),
            entity(ports=(PortRange(80, 81),)),
            entity(ports=(port(80), port(81))),
            entity(notPorts=(port(80),)),
            entity(ports=("http",)),
            entity(serviceAccounts=ServiceAccountMatch(names=("a",))),
            entity(serviceAccounts=ServiceAccountMatch(selector="has(a)")),
        )
        for made in (rule(source=one), rule(destination=one))
    ),
]


@pytest.mark.parametrize("pair", SAME, ids=lambda pair: repr(pair)[:60])
def test_spelling_does_not_change_the_identity(pair: tuple[Rule, Rule]) -> None:
    assert resolved(pair[0]).id == resolved(pair[1]).id


def test_every_edit_that_could_matter_changes_the_identity() -> None:
    assert len({resolved(one).id for one in DIFFERENT}) == len(DIFFERENT)


def test_members_of_a_selector_are_not_part_of_the_identity() -> None:
    one = rule(source=entity(selector="has(a)"))
    worlds: list[tuple[Any, ...]] = [(), (global_set("g", "10.0.0.0/8", {"a": ""}),)]
    first, second = (only_rule(effective(host(), policy("p", one), *world)) for world in worlds)
    assert first.source != second.source
    assert first.id == second.id
