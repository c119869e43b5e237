"""What stands in the list of each class, and how it ends (spec sections 3.5 to 3.7, 5 and 11)."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address
from typing import TYPE_CHECKING

import pytest

from pyxdp.abi import RulesetFlag, Verdict
from pyxdp.compiler import Ruleset, compile_rulesets
from pyxdp.model import Action
from pyxdp.net import HookSettings, Packet
from pyxdp.resolver import Direction, EffectivePolicy, PolicyClass
from tests.compiler.policies import SSH, effective, policy, profile, rule, tier
from tests.compiler.test_matches import holds

if TYPE_CHECKING:
    from collections.abc import Mapping

ALLOW, DENY, LOG, PASS = Action.ALLOW, Action.DENY, Action.LOG, Action.PASS
INGRESS, EGRESS = Direction.INGRESS, Direction.EGRESS
UNTRACKED, PREDNAT, NORMAL, FORWARD = PolicyClass
TRACKED = (PREDNAT, NORMAL, FORWARD)
Hook = tuple[PolicyClass, Direction]


def rulesets(policy_: EffectivePolicy, endpoint: int = 0) -> Mapping[Hook, Ruleset]:
    return {(one.policy_class, one.direction): one for one in compile_rulesets(policy_).endpoints[endpoint].rulesets}


def outline(policy_: EffectivePolicy, policy_class: PolicyClass, direction: Direction = INGRESS) -> list[str]:
    """The verdicts, with the kind of the rule where nobody wrote it, and of CONTINUE where it goes on."""
    names = compile_rulesets(policy_).identities
    lines = []
    for one in rulesets(policy_)[policy_class, direction].rules:
        kind = names[one.identity].kind if one.identity is not None else "end"
        words = [one.verdict.name, *([str(one.resume)] if one.verdict is Verdict.CONTINUE else [])]
        lines.append(" ".join([*words, *([kind] if kind not in {"GlobalNetworkPolicy", "Profile"} else [])]))
    return lines


def test_every_class_governs_but_pre_dnat_egress() -> None:
    assert list(rulesets(effective())) == [
        (UNTRACKED, INGRESS),
        (UNTRACKED, EGRESS),
        (PREDNAT, INGRESS),
        (NORMAL, INGRESS),
        (NORMAL, EGRESS),
        (FORWARD, INGRESS),
        (FORWARD, EGRESS),
    ]


@pytest.mark.parametrize("direction", Direction)
def test_endpoint_without_policy_denies_local_traffic_and_lets_through_the_rest(direction: Direction) -> None:
    nothing = effective()
    assert outline(nothing, UNTRACKED, direction) == ["NONE end"]
    assert outline(nothing, NORMAL, direction) == ["ALLOW Builtin", "DENY HostEndpoint"]
    assert outline(nothing, FORWARD, direction) == ["ALLOW HostEndpoint"]
    assert outline(nothing, PREDNAT) == ["NONE end"]


def test_failsafes_stand_in_front_of_every_class_but_forward() -> None:
    inbound = effective(failsafes=[SSH])
    lists = {hook: [one.verdict for one in found.rules] for hook, found in rulesets(inbound).items()}
    with_failsafe = {hook for hook, verdicts in lists.items() if verdicts[0] is Verdict.FAILSAFE}
    assert with_failsafe == {(UNTRACKED, INGRESS), (UNTRACKED, EGRESS), (PREDNAT, INGRESS), (NORMAL, INGRESS)}
    assert not any(Verdict.FAILSAFE in verdicts[1:] for verdicts in lists.values())


def test_only_the_untracked_class_has_mirror_images_of_failsafes() -> None:
    """The way back of a tracked connection is established."""
    outbound = replace(effective(), failsafe_outbound=(SSH,))
    with_failsafe = {hook for hook, one in rulesets(outbound).items() if one.rules[0].verdict is Verdict.FAILSAFE}
    assert with_failsafe == {(UNTRACKED, INGRESS), (UNTRACKED, EGRESS), (NORMAL, EGRESS)}


def test_a_failsafe_has_one_identity_in_all_classes() -> None:
    """And its mirror image another one, named by the same list."""
    names = compile_rulesets(effective(failsafes=[SSH])).identities.values()
    assert [(one.direction, one.kind) for one in names if one.policy == "failsafe"] == [
        (0, "FelixConfiguration"),
        (0, "FelixConfiguration"),
    ]


def icmp(family: int, protocol: int, number: int) -> Packet:
    source, destination = map(ip_address, ("10.0.0.1", "10.0.0.2") if family == 4 else ("fe80::1", "ff02::1"))
    return Packet(protocol=protocol, source=source, destination=destination, icmp_type=number, icmp_code=0)


@pytest.mark.parametrize("direction", Direction)
def test_neighbour_discovery(direction: Direction) -> None:
    match = rulesets(effective())[NORMAL, direction].rules[0].match
    assert [number for number in range(256) if holds(match, icmp(6, 58, number))] == [130, 131, 132, 133, 135, 136]
    assert not any(holds(match, icmp(family, protocol, 135)) for family, protocol in ((4, 58), (4, 1), (6, 1)))


@pytest.mark.parametrize("protocol", [6, 17, 132])
def test_a_port_is_no_neighbour_discovery(protocol: int) -> None:
    match = rulesets(effective())[NORMAL, INGRESS].rules[0].match
    source, destination = ip_address("fe80::1"), ip_address("fe80::2")
    packet = Packet(protocol=protocol, source=source, destination=destination, source_port=1, destination_port=135 << 8)
    assert not holds(match, packet)


@pytest.mark.parametrize(("policy_class", "end"), [(NORMAL, "DENY HostEndpoint"), (FORWARD, "NONE end")])
def test_end_of_a_tier_denies(policy_class: PolicyClass, end: str) -> None:
    tiers = tier("t", policy("p", rule(ALLOW, 80)), end=DENY)
    found = outline(effective(tiers, policy_class=policy_class), policy_class)
    assert found[policy_class is NORMAL :] == ["ALLOW", "DENY Tier", end]


@pytest.mark.parametrize("policy_class", TRACKED)
def test_pass_goes_on_behind_the_end_of_its_tier(policy_class: PolicyClass) -> None:
    action = PASS if policy_class is PREDNAT else DENY
    first = tier("first", policy("p", rule(PASS, 80), rule(PASS, 81)), end=action)
    second = tier("second", policy("q", rule(LOG), rule(DENY)))
    found = outline(effective(first, second, policy_class=policy_class), policy_class)
    start = 1 if policy_class is NORMAL else 0
    behind = start + (2 if policy_class is PREDNAT else 3)
    expected = [f"CONTINUE {behind}"] * 2 + ["DENY Tier"] * (policy_class is not PREDNAT)
    assert found[start : behind + 2] == [*expected, f"CONTINUE {behind + 1}", "DENY"]


@pytest.mark.parametrize("policy_class", TRACKED)
def test_a_tier_that_is_only_staged_passes_and_is_nowhere(policy_class: PolicyClass) -> None:
    """The resolver says Pass of such a tier."""
    staged = effective(tier("t", policy("p", rule(DENY), staged=True)), policy_class=policy_class)
    assert outline(staged, policy_class) == outline(effective(), policy_class)


def test_profiles_come_behind_the_tiers_of_the_normal_class_only() -> None:
    one = profile("one", rule(ALLOW, 80))
    for policy_class in PolicyClass:
        found = outline(effective(tier("t", policy("p", rule(LOG))), policy_class=policy_class, profiles=[one]), NORMAL)
        logs = ["CONTINUE 2"] * (policy_class is NORMAL)
        assert found == ["ALLOW Builtin", *logs, "ALLOW", "DENY HostEndpoint"]
    without = effective(profiles=[one])
    assert all(outline(without, other) == outline(effective(), other) for other in (UNTRACKED, PREDNAT, FORWARD))


def test_pass_in_a_profile_goes_on_with_the_next_one() -> None:
    profiles = [profile("one", rule(PASS, 80), rule(DENY)), profile("two", rule(PASS), rule(ALLOW))]
    assert outline(effective(profiles=profiles), NORMAL) == [
        "ALLOW Builtin",
        "CONTINUE 3",
        "DENY",
        "CONTINUE 5",
        "ALLOW",
        "DENY HostEndpoint",
    ]


@pytest.mark.parametrize("direction", Direction)
def test_forward_policy_of_either_direction_ends_the_general_allow(direction: Direction) -> None:
    """But it denies in its own direction only."""
    base = effective()
    tiers = (tier("t", policy("p", rule(DENY, 80)), end=DENY),)
    endpoint = replace(base.endpoints[0], tiers={(FORWARD, direction): tiers})
    policy_ = replace(base, endpoints=(endpoint,))
    other = INGRESS if direction is EGRESS else EGRESS
    assert outline(policy_, FORWARD, direction) == ["DENY", "DENY Tier", "NONE end"]
    assert outline(policy_, FORWARD, other) == ["NONE end"]


@pytest.mark.parametrize("policy_class", [UNTRACKED, PREDNAT, NORMAL])
def test_policy_of_another_class_is_no_forward_policy(policy_class: PolicyClass) -> None:
    other = effective(tier("t", policy("p", rule(DENY))), policy_class=policy_class)
    assert outline(other, FORWARD) == ["ALLOW HostEndpoint"]


def test_identities_of_what_is_no_rule() -> None:
    tiers = tier("t", policy("p", rule(ALLOW, 80, tier="t")), end=DENY)
    names = compile_rulesets(effective(tiers, policy_class=NORMAL)).identities.values()
    found = {(one.kind, one.tier, one.policy, one.action, one.direction, one.rule) for one in names}
    assert found - {("GlobalNetworkPolicy", "t", "p", "Allow", 0, 0)} == {
        ("Tier", "t", "t", "Deny", 0, 0),
        *(("HostEndpoint", "", "host-eth0", action, way, 0) for action in ("Allow", "Deny") for way in (0, 1)),
        *(("Builtin", "", "neighbour-discovery", "Allow", way, 0) for way in (0, 1)),
    }


def test_identities_of_what_is_no_rule_are_their_own() -> None:
    """Host endpoints and tiers of the same name do not share a counter, a tier on two interfaces does."""
    tiers = tier("host-eth0", policy("p", rule(ALLOW, 80)), end=DENY)
    compiled = compile_rulesets(effective(tiers, policy_class=NORMAL, interfaces=["eth0", "eth1"]))
    ends = [one for one in compiled.identities.values() if one.action == "Deny" and one.direction == 0]
    assert sorted((one.kind, one.policy) for one in ends) == [
        ("HostEndpoint", "host-eth0"),
        ("HostEndpoint", "host-eth1"),
        ("Tier", "host-eth0"),
    ]


def test_a_rule_of_two_classes_has_one_identity() -> None:
    tiers = (tier("t", policy("p", rule(ALLOW, 80)), end=DENY),)
    base = effective()
    endpoint = replace(base.endpoints[0], tiers={(NORMAL, INGRESS): tiers, (FORWARD, INGRESS): tiers})
    found = rulesets(replace(base, endpoints=(endpoint,)))
    normal, forward = ([one.identity for one in found[hook, INGRESS].rules] for hook in (NORMAL, FORWARD))
    assert normal[1:3] == forward[:2]


def test_workload_interfaces_have_two_classes() -> None:
    base = effective(tier("t", policy("p", rule(DENY))), policy_class=PREDNAT, failsafes=[SSH])
    there = replace(base, endpoints=(replace(base.endpoints[0], workloads=True),))
    found = rulesets(there)
    assert list(found) == [(PREDNAT, INGRESS), (FORWARD, INGRESS), (FORWARD, EGRESS)]
    assert {hook: found[hook] for hook in found} == {hook: rulesets(base)[hook] for hook in found}


def flags(policy_: EffectivePolicy) -> dict[Hook, int]:
    return {hook: one.flags for hook, one in rulesets(policy_).items() if one.flags}


def test_early_drop_is_for_normal_ingress() -> None:
    assert flags(effective()) == {(NORMAL, INGRESS): RulesetFlag.EARLY}


def test_no_early_drop_on_ports_and_where_denied_packets_are_rejected() -> None:
    base = effective()
    (endpoint,) = base.endpoints
    port = replace(endpoint, interface=replace(endpoint.interface, master=7))
    assert flags(replace(base, endpoints=(port,))) == {}
    assert flags(replace(base, actions=HookSettings(deny="Reject"))) == {}
    assert flags(replace(base, actions=HookSettings(allow="Return", check_invalid=False))) == flags(base)


def test_a_device_with_vlans_is_told_so_in_untracked_ingress() -> None:
    base = effective()
    lower = replace(base, endpoints=(replace(base.endpoints[0], vlans=True),))
    assert flags(lower) == {(UNTRACKED, INGRESS): RulesetFlag.OPINION, (NORMAL, INGRESS): RulesetFlag.EARLY}


@pytest.mark.parametrize(("action", "expected"), [(ALLOW, RulesetFlag.UNTRACKS), (DENY, 0)])
def test_what_takes_packets_out_of_conntrack_says_so(action: Action, expected: int) -> None:
    base = effective(tier("t", policy("p", rule(DENY), rule(action))), policy_class=UNTRACKED, failsafes=[SSH])
    found = flags(base)
    assert found.get((UNTRACKED, INGRESS), 0) == expected
    assert (UNTRACKED, EGRESS) not in found
    lower = replace(base, endpoints=(replace(base.endpoints[0], vlans=True),))
    assert flags(lower)[UNTRACKED, INGRESS] == expected | RulesetFlag.OPINION
