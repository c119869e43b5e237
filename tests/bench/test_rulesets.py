"""The generated policies: the same from the same seed, in the shapes they claim, and packets meet what they should."""

from __future__ import annotations

from collections import Counter
from functools import partial
from ipaddress import IPv4Address, IPv4Network, ip_network
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest

import pyxdp
from pyxdp.bench import addresses, documents, profiles, rulesets
from pyxdp.bench.documents import INTERFACE, NODE
from pyxdp.bench.rulesets import RuleSet, packet
from pyxdp.evaluator import PolicyClass
from pyxdp.net import Interface, Packet
from pyxdp.net.prefixes import Prefixes

if TYPE_CHECKING:
    from pathlib import Path

FEW = 200
INTERFACES = [Interface(INTERFACE, 2)]


MAKERS = (
    rulesets.ten,
    partial(rulesets.wide, FEW),
    partial(rulesets.denials, FEW),
    partial(rulesets.blocklist, FEW),
    partial(rulesets.blocklist, FEW, shape="country"),
    partial(rulesets.large, FEW, FEW),
    partial(rulesets.node, 20),
    *(partial(rulesets.family, name, FEW) for name in profiles.PROFILES),
)


@pytest.fixture(scope="module", params=range(len(MAKERS)))
def made(request: pytest.FixtureRequest) -> tuple[RuleSet, RuleSet]:
    """The same twice."""
    make = MAKERS[request.param]
    return make(), make()


@pytest.fixture
def ruleset(made: tuple[RuleSet, RuleSet]) -> RuleSet:
    return made[0]


def decided(ruleset: RuleSet, asked: Packet) -> tuple[str, int] | None:
    """Policy and number of the untracked rule that decides, by the evaluator."""
    found = pyxdp.evaluate(ruleset.resources, asked, interface=INTERFACE, node=NODE, interfaces=INTERFACES)
    (rule,) = (it.rule for it in found.classes if it.policy_class is PolicyClass.UNTRACKED)
    return None if rule is None else (rule.policy, rule.number)


def test_the_same_every_time(made: tuple[RuleSet, RuleSet]) -> None:
    assert made[0] == made[1]


def test_files_and_values_are_the_same(ruleset: RuleSet, tmp_path: Path) -> None:
    ruleset.write(tmp_path)
    assert pyxdp.load([tmp_path]).resources == ruleset.resources


def test_it_governs_the_interface(ruleset: RuleSet) -> None:
    policy = pyxdp.resolve(ruleset.resources, node=NODE, interfaces=INTERFACES)
    assert [endpoint.interface.name for endpoint in policy.endpoints] == [INTERFACE]


def test_rules_beyond_one_policy_stay_in_order() -> None:
    many = rulesets.denials(2500)
    policies = many.resources.globalNetworkPolicies
    assert [len(it.ingress) for it in policies] == [1000, 1000, 500]
    assert sorted(policies, key=lambda it: it.order or 0) == list(policies)
    found = [str(rule.source.nets[0]) for it in policies for rule in it.ingress]
    assert found == [net for net, _ in many.rules]


def test_as_many_flows_as_a_power_of_two(ruleset: RuleSet) -> None:
    assert len(ruleset.flows) & (len(ruleset.flows) - 1) == 0


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        (rulesets.ten(), [("ten-00", 0), ("ten-00", 7), ("ten-00", 9), None, None]),
        (rulesets.wide(FEW), [("wide-00", 0), ("wide-00", FEW // 2), ("wide-00", FEW - 1), None]),
        (rulesets.blocklist(FEW), [("service-00", 0), ("service-00", 1), None]),
    ],
    ids=["ten", "wide", "blocklist"],
)
def test_packets_meet_what_they_say(policy: RuleSet, expected: list[tuple[str, int] | None]) -> None:
    assert [decided(policy, it) for it in policy.packets.values()] == expected


def test_flows_of_a_blocklist_are_denied_by_its_rule() -> None:
    made = rulesets.blocklist(FEW)
    for flow in made.flows[:20]:
        assert decided(made, packet(str(IPv4Address(flow.source)), flow.destination_port)) == ("service-00", 0)


def test_flows_meet_the_denials_that_rivals_are_given() -> None:
    made = rulesets.denials(FEW)
    for flow in made.flows[:20]:
        found = decided(made, packet(str(IPv4Address(flow.source)), flow.destination_port))
        assert found is not None
        net, port = made.rules[found[1]]
        assert IPv4Address(flow.source) in IPv4Network(net)
        assert flow.destination_port == port


@pytest.mark.parametrize("name", list(profiles.PROFILES))
def test_a_family_has_overlap_nesting_wildcards_and_ranges(name: str) -> None:
    rules = profiles.rules(name, 1000)
    nets = [net for rule in rules for net in rule.get("source", {}).get("nets", ())]
    ports = [port for rule in rules for port in rule.get("destination", {}).get("ports", ())]
    distinct = sorted({IPv4Network(net) for net in nets})
    assert len(rules) == 1000
    assert any(len(nets) > uses > 3 for uses in Counter(nets).values())
    assert sum(one.supernet_of(other) for one, other in pairwise(distinct)) > 20
    assert len(nets) < len(rules)
    assert any(isinstance(port, str) for port in ports)
    assert Counter(ports).most_common(1)[0][1] > 5
    assert any("notNets" in rule.get("source", {}) for rule in rules)


@pytest.mark.parametrize("count", [0, 1, 10, 20_000])
def test_a_blocklist_is_disjoint_and_public(count: int) -> None:
    made = addresses.blocklist(count)
    assert len(made) == count
    assert made == addresses.blocklist(count)
    keys = made.ipv4.tolist()
    ends = [(key >> 8) + (1 << 32 - (key & 255)) for key in keys]
    assert all(end <= key >> 8 for end, key in zip(ends, keys[1:], strict=False))
    assert not {key >> 32 for key in keys} & addresses.RESERVED


def test_a_blocklist_can_be_too_long() -> None:
    with pytest.raises(ValueError, match="20,000,000 prefixes"):
        addresses.blocklist(20_000_000)


def test_a_blocklist_has_the_lengths_of_its_histogram() -> None:
    found = Counter(key & 255 for key in addresses.blocklist(20_000).ipv4.tolist())
    for length, percent in addresses.BLOCKLIST.items():
        assert found[length] / 200 == pytest.approx(percent, abs=4)


def test_a_country_is_clustered() -> None:
    made = addresses.country(5000).ipv4.tolist()
    adjacent = sum((key >> 8) + (1 << 32 - (key & 255)) == other >> 8 for key, other in pairwise(made))
    assert len(made) > 2500
    assert adjacent > len(made) / 4
    assert len({key >> 32 for key in made}) <= 40


def test_ipv6_prefixes_are_distinct_and_masked() -> None:
    made = addresses.wide(5000)
    assert len(made) == 5000
    assert Prefixes.of(list(made)) == made
    assert {it.prefixlen for it in made} == set(addresses.WIDE)
    assert all(str(it).startswith("2a00:") for it in made)


def test_text_of_prefixes_is_that_of_ipaddress() -> None:
    made = Prefixes.union([addresses.blocklist(500), addresses.wide(500)])
    assert [ip_network(text) for text in documents.texts(made)] == list(made)


def test_sources_are_in_the_prefixes() -> None:
    made = addresses.blocklist(100)
    assert all(made.contains(IPv4Address(source)) for source in addresses.sources(made, 500))


def test_another_seed_gives_other_rules() -> None:
    assert rulesets.wide(FEW, seed=1) != rulesets.wide(FEW)
    assert addresses.blocklist(FEW, seed=1) != addresses.blocklist(FEW)
    assert profiles.rules("acl", FEW, seed=1) != profiles.rules("acl", FEW)
