"""From selectors to address sets and named ports (spec section 7)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from pyxdp.errors import UnsupportedPolicyError
from pyxdp.model import Action, EndpointPort, ServiceAccountMatch, ServiceMatch
from pyxdp.resolver import PortMatch
from pyxdp.selector import parse
from tests.resolver.build import (
    effective,
    entity,
    global_set,
    host,
    namespace,
    network_set,
    only_rule,
    policy,
    port,
    profile,
    proto,
    rule,
    source_sets,
)

if TYPE_CHECKING:
    from pyxdp.model import EntityRule
    from pyxdp.resolver import EffectivePolicy

WORLD = (
    host("a", ips="10.0.0.1 fd00::1", labels={"kind": "hep"}),
    host("b", node="other", ips="10.0.9.9", labels={"kind": "hep", "env": "prod"}),
    host("c", node="other", interface="*", labels={"kind": "hep", "silent": "yes"}),
    global_set("g", "192.0.2.0/24 2001:db8::/32", {"kind": "global"}),
    network_set("blue", "n", "198.51.100.0/24", {"kind": "namespaced"}),
    network_set("red", "n", "203.0.113.0/24", {"kind": "namespaced"}),
    namespace("blue", {"env": "prod"}),
    namespace("red", {"env": "test"}),
)
HEPS = {"10.0.0.1/32", "fd00::1/128", "10.0.9.9/32"}
GLOBAL = {"192.0.2.0/24", "2001:db8::/32"}
BLUE, RED = {"198.51.100.0/24"}, {"203.0.113.0/24"}
EVERYTHING = HEPS | GLOBAL | BLUE | RED


def from_source(source: EntityRule, *resources: Any, protocol: str | None = None) -> EffectivePolicy:
    return effective(
        *(resources or WORLD), policy("p", rule(protocol=protocol, source=source), selector="kind == 'hep'")
    )


@pytest.mark.parametrize(
    ("source", "members"),
    [
        (entity(selector="all()"), EVERYTHING),
        (entity(selector="kind == 'hep'"), HEPS),
        (entity(selector="kind == 'global'"), GLOBAL),
        (entity(selector="kind in {'hep', 'global'}"), HEPS | GLOBAL),
        (entity(selector="kind == 'nothing'"), set()),
        (entity(selector="has(projectcalico.org/namespace)"), BLUE | RED),
        (entity(selector="!has(projectcalico.org/namespace)"), HEPS | GLOBAL),
        (entity(selector="projectcalico.org/namespace == 'blue'"), BLUE),
        (entity(selector="!has(projectcalico.org/orchestrator)"), EVERYTHING),
        (entity(selector="env == 'prod'"), {"10.0.9.9/32"}),
        (entity(namespaceSelector="global()"), HEPS | GLOBAL),
        (entity(namespaceSelector="all()"), BLUE | RED),
        (entity(namespaceSelector="!all()"), HEPS | GLOBAL),
        (entity(namespaceSelector="env == 'prod'"), BLUE),
        (entity(namespaceSelector="env != 'prod'"), EVERYTHING - BLUE),
        (entity(namespaceSelector="projectcalico.org/name == 'red'"), RED),
        (entity(namespaceSelector="env != 'all()' && all()"), BLUE | RED),
        (entity(namespaceSelector="global()", selector="kind == 'hep'"), HEPS),
        (entity(namespaceSelector="all()", selector="kind == 'hep'"), set()),
        (entity(namespaceSelector="global()", notSelector="kind == 'hep'"), GLOBAL),
        (entity(selector="all()", notSelector="kind == 'namespaced'"), HEPS | GLOBAL),
        (entity(serviceAccounts=ServiceAccountMatch(names=("default",))), set()),
        (entity(serviceAccounts=ServiceAccountMatch(selector="role == 'x'")), set()),
        (entity(serviceAccounts=ServiceAccountMatch(selector="all()")), set()),
        (entity(serviceAccounts=ServiceAccountMatch(selector="role != 'x'")), EVERYTHING),
        (entity(serviceAccounts=ServiceAccountMatch(names=("d",), selector="role != 'x'")), set()),
    ],
    ids=lambda value: " ".join(sorted(value)) if isinstance(value, set) else repr(value),
)
def test_selector_stands_for_addresses_of_the_whole_cluster(source: EntityRule, members: set[str]) -> None:
    (found,) = source_sets(from_source(source))
    assert set(found) == members


def test_not_selector_alone_matches_any_address_outside_of_the_set() -> None:
    side = only_rule(from_source(entity(notSelector="kind == 'global'"))).source
    assert side.sets == ()
    assert [{str(network) for network in one.networks} for one in side.notSets] == [GLOBAL]


def test_positive_and_negative_selector_are_one_set() -> None:
    side = only_rule(from_source(entity(selector="has(kind)", notSelector="has(env)"))).source
    assert [one.id for one in side.sets] == [parse("has(kind) && !has(env)").id]
    assert side.notSets == ()


def test_selector_of_an_entity_asks_members_one_by_one() -> None:
    """An address of two members is in the set when one of them is selected, whatever the other's labels are."""
    twice = (global_set("x", "10.1.0.0/16", {"a": ""}), global_set("y", "10.1.0.0/16", {"a": "", "b": ""}))
    result = from_source(entity(selector="has(a)", notSelector="has(b)"), host(labels={"kind": "hep"}), *twice)
    assert source_sets(result) == [["10.1.0.0/16"]]


def test_nets_and_selector_must_both_match() -> None:
    assert source_sets(from_source(entity("10.0.0.0/8", selector="kind == 'global'"))) == [
        ["10.0.0.0/8"],
        ["192.0.2.0/24", "2001:db8::/32"],
    ]


def test_members_are_sorted_by_family_address_length_and_distinct() -> None:
    nets = "2001:db8::/32 10.0.0.0/8 9.0.0.0/8 10.0.0.0/16 10.0.0.0/8 ::/0 0.0.0.0/0 2001:db8::/31"
    sets = (global_set("x", nets, {"s": ""}), global_set("y", "9.0.0.0/8 11.0.0.0/8 fd00::/8", {"s": ""}))
    (found,) = source_sets(from_source(entity(selector="has(s)"), host(labels={"kind": "hep"}), *sets))
    assert found == [
        *("0.0.0.0/0", "9.0.0.0/8", "10.0.0.0/8", "10.0.0.0/16", "11.0.0.0/8"),
        *("::/0", "2001:db8::/31", "2001:db8::/32", "fd00::/8"),
    ]


def test_labels_inherited_from_profiles_count_for_peers() -> None:
    peer = host("peer", node="other", ips="10.0.9.9", profiles=("p",))
    result = from_source(
        entity(selector="from == 'profile'"),
        host(labels={"kind": "hep"}),
        peer,
        profile("p", labels={"from": "profile"}),
    )
    assert source_sets(result) == [["10.0.9.9/32"]]


def test_network_set_in_a_namespace_that_is_not_written() -> None:
    world = (host(labels={"kind": "hep"}), network_set("ghost", "n", "10.1.0.0/16"))
    assert source_sets(from_source(entity(namespaceSelector="all()"), *world)) == [["10.1.0.0/16"]]
    assert source_sets(from_source(entity(namespaceSelector="projectcalico.org/name == 'ghost'"), *world)) == [
        ["10.1.0.0/16"]
    ]
    assert source_sets(from_source(entity(namespaceSelector="has(env)"), *world)) == [[]]


def test_own_label_of_a_network_set_wins_over_the_namespaces() -> None:
    world = (
        host(labels={"kind": "hep"}),
        network_set("blue", "n", "10.1.0.0/16", {"pcns.env": "own"}),
        namespace("blue", {"env": "theirs"}),
    )
    assert source_sets(from_source(entity(namespaceSelector="env == 'own'"), *world)) == [["10.1.0.0/16"]]
    assert source_sets(from_source(entity(namespaceSelector="env == 'theirs'"), *world)) == [[]]


def test_equal_selectors_share_one_object() -> None:
    spellings = ("kind=='global'", 'kind == "global"', "((kind == 'global'))")
    rules = [rule(source=entity(selector=text), destination=entity(notSelector=text)) for text in spellings]
    result = effective(*WORLD, policy("p", *rules, selector="kind == 'hep'"))
    (tier,) = next(iter(result.endpoints[0].tiers.values()))
    found = [
        one for resolved in tier.policies[0].rules for one in (*resolved.source.sets, *resolved.destination.notSets)
    ]
    assert len(found) == 2 * len(spellings)
    assert {id(one) for one in found} == {id(found[0])}
    assert found[0].id == parse("kind == 'global'").id


def test_different_selectors_of_the_same_resources_share_their_members() -> None:
    """What makes a large network set cheap: it is sorted once, and never copied for a rule."""
    rules = [rule(source=entity(selector=f"kind == 'global' && x{number} != 'y'")) for number in range(3)]
    result = effective(*WORLD, policy("p", *rules, selector="kind == 'hep'"))
    (tier,) = next(iter(result.endpoints[0].tiers.values()))
    sets = [resolved.source.sets[0] for resolved in tier.policies[0].rules]
    assert len({one.id for one in sets}) == len(rules)
    assert len({id(one.networks) for one in sets}) == 1


def test_written_prefixes_are_one_set_named_by_them() -> None:
    side = only_rule(from_source(entity("10.0.0.0/8 9.0.0.0/8 10.0.0.0/8", "9.1.0.0/16"))).source
    assert [(one.id, len(one.networks)) for one in side.sets] == [("nets:9.0.0.0/8,10.0.0.0/8", 2)]
    assert [one.id for one in side.notSets] == ["nets:9.1.0.0/16"]


def test_selector_that_selects_nothing_is_noticed() -> None:
    (notice,) = from_source(entity(selector="kind == 'glboal'")).notices
    assert notice == 'GlobalNetworkPolicy/p: ingress[0].source: kind == "glboal" selects no address'


def test_endpoints_without_addresses_are_named_when_nothing_else_is_selected() -> None:
    (notice,) = from_source(entity(selector="has(silent)")).notices
    assert notice.endswith("has(silent) selects no address; host endpoints without expectedIPs: c")


DNS = (EndpointPort("dns", proto("UDP"), 53), EndpointPort("dns", proto("TCP"), 5353))
PORTED = (
    host("a", ips="10.0.0.1 fd00::1", labels={"kind": "hep", "role": "x"}, ports=DNS),
    host("b", node="other", ips="10.0.9.9", labels={"role": "y"}, ports=(EndpointPort("dns", proto("UDP"), 54),)),
    host("c", node="other", interface="eth0", labels={"role": "y"}, ports=DNS),
)


def members(match: PortMatch | None) -> set[tuple[str, int, int]]:
    assert match is not None
    return {(str(one.address), one.protocol, one.port) for one in match.members}


def test_named_port_is_every_address_and_port_of_that_name_and_protocol() -> None:
    resolved = only_rule(from_source(entity(ports=("dns",)), *PORTED, protocol="UDP"))
    assert members(resolved.source.ports) == {("10.0.0.1", 17, 53), ("fd00::1", 17, 53), ("10.0.9.9", 17, 54)}
    assert resolved.source.sets == ()


def test_named_port_without_protocol_means_all_of_them() -> None:
    resolved = only_rule(from_source(entity(selector="role == 'x'", ports=("dns",)), *PORTED))
    addresses = ("10.0.0.1", "fd00::1")
    assert members(resolved.source.ports) == {(one, *port) for one in addresses for port in ((17, 53), (6, 5353))}


def test_named_port_alone_makes_its_selector_superfluous() -> None:
    resolved = only_rule(from_source(entity(selector="role == 'y'", ports=("dns",)), *PORTED, protocol="UDP"))
    assert members(resolved.source.ports) == {("10.0.9.9", 17, 54)}
    assert resolved.source.sets == ()


def test_named_and_numeric_ports_are_alternatives_and_keep_the_selector() -> None:
    resolved = only_rule(
        from_source(entity(selector="role == 'y'", ports=("dns", port(80), port(8))), *PORTED, protocol="UDP")
    )
    assert resolved.source.ports is not None
    assert resolved.source.ports.ranges == (port(8), port(80))
    assert members(resolved.source.ports) == {("10.0.9.9", 17, 54)}
    assert [one.id for one in resolved.source.sets] == [parse("role == 'y'").id]


def test_negative_selector_takes_part_in_a_named_port_only_beside_a_positive_one() -> None:
    both = entity(selector="has(role)", notSelector="role == 'x'", ports=("dns",))
    assert members(only_rule(from_source(both, *PORTED, protocol="UDP")).source.ports) == {("10.0.9.9", 17, 54)}
    alone = only_rule(from_source(entity(notSelector="role == 'x'", ports=("dns",)), *PORTED, protocol="UDP")).source
    assert len(members(alone.ports)) == 3
    assert [one.id for one in alone.notSets] == [parse("role == 'x'").id]


def test_negated_named_port_keeps_the_selector() -> None:
    side = only_rule(from_source(entity(selector="role == 'y'", notPorts=("dns",)), *PORTED)).source
    assert members(side.notPorts) == {("10.0.9.9", 17, 54)}
    assert side.ports is None
    assert [one.id for one in side.sets] == [parse("role == 'y'").id]


def test_unknown_named_port_matches_nothing() -> None:
    result = from_source(entity(ports=("https",)), *PORTED)
    assert only_rule(result).source.ports == PortMatch()
    assert result.notices == (
        'GlobalNetworkPolicy/p: ingress[0].source.ports: no endpoint address has a port named "https"',
    )


def test_ports_that_are_not_given_are_not_asked() -> None:
    side = only_rule(from_source(entity(), *PORTED)).source
    assert (side.ports, side.notPorts) == (None, None)


SERVICE = entity(services=ServiceMatch(name="web", namespace="blue"))


def test_services_of_a_policy_that_applies_are_refused_by_name() -> None:
    rules = (rule(Action.DENY), rule(source=SERVICE))
    with pytest.raises(
        UnsupportedPolicyError, match=r"GlobalNetworkPolicy/p: ingress\[1\]\.source\.services"
    ) as caught:
        effective(host(profiles=("q",)), policy("p", *rules), profile("q", rule(destination=SERVICE)))
    assert [name for name, _ in caught.value.policies] == ["GlobalNetworkPolicy/p", "Profile/q"]
    assert caught.value.hint


def test_services_of_a_policy_that_does_not_apply_do_not_matter() -> None:
    elsewhere = policy("p", rule(source=SERVICE), selector="has(x)")
    inert = policy("q", egress=(rule(destination=SERVICE),))
    assert effective(host(), elsewhere, inert).endpoints
