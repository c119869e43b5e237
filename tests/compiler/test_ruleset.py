"""Flattening: order, jumps, identities, capacities."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyxdp.abi import Limit, RuleFlag, Verdict
from pyxdp.compiler import CompiledRule, Rulesets, compile_rulesets
from pyxdp.errors import CapacityError
from pyxdp.model import Action
from pyxdp.resolver import Direction, PolicyClass, PortMatch, PortMember, Side
from tests.compiler.policies import SSH, effective, policy, profile, rule, tier

if TYPE_CHECKING:
    from pyxdp.resolver import EffectivePolicy, EffectivePolicyRules, EffectiveRule

ALLOW, DENY, LOG, PASS = Action.ALLOW, Action.DENY, Action.LOG, Action.PASS


def ingress(compiled: Rulesets, endpoint: int = 0) -> tuple[CompiledRule, ...]:
    return compiled.endpoints[endpoint].rulesets[0].rules


def outline(policy_: EffectivePolicy) -> list[tuple[Verdict, int]]:
    return [(one.verdict, one.resume) for one in ingress(compile_rulesets(policy_))]


def test_a_list_without_policies_ends_at_once() -> None:
    assert outline(effective()) == [(Verdict.NONE, 0)]


def test_failsafes_come_first_and_the_end_of_the_list_last() -> None:
    result = outline(effective(tier("default", policy("p", rule(DENY), rule(ALLOW, 80))), failsafes=[SSH]))
    assert result == [(Verdict.FAILSAFE, 0), (Verdict.DENY, 0), (Verdict.ALLOW, 0), (Verdict.NONE, 0)]


def test_failsafes_of_the_other_direction_are_mirrored() -> None:
    compiled = compile_rulesets(effective(failsafes=[SSH]))
    request, reply = (one.rules[0].match for one in compiled.endpoints[0].rulesets[:2])
    assert (request.source_ports, reply.source_ports) == (None, ((22, 22),))


def test_failsafes_have_words_of_their_own_where_there_are_many() -> None:
    """Requests in the first, replies to the other direction in the second; rules that match nothing fill them up."""
    log = tier("first", policy("p", rule(LOG), *(rule(DENY, port) for port in range(1, 70)), rule(PASS)))
    both = replace(effective(log, failsafes=[SSH]), failsafe_outbound=(SSH,))
    compiled = ingress(compile_rulesets(both))
    verdicts = [one.verdict for one in compiled]
    assert [at for at, verdict in enumerate(verdicts) if verdict is Verdict.FAILSAFE] == [0, 64]
    fillers = [*compiled[1:64], *compiled[65:128]]
    assert all((one.verdict, one.match.services) == (Verdict.NONE, ()) for one in fillers)
    assert {one.match.source_ports for one in compiled[1:64]} == {None}, "nobody asks for it"
    assert {one.match.source_ports for one in compiled[65:128]} == {()}, "they would have a bit for every source port"
    resumes = {at: one.resume for at, one in enumerate(compiled) if one.verdict is Verdict.CONTINUE}
    assert resumes == {128: 129, 198: 199}
    assert (len(compiled), verdicts[-1]) == (200, Verdict.NONE)


def test_failsafes_take_no_place_that_a_rule_needs() -> None:
    few = tier("t", policy("p", *(rule(DENY, port) for port in range(1, 63))))
    assert len(ingress(compile_rulesets(effective(few, failsafes=[SSH])))) == Limit.WORD_BITS
    many = tier("t", policy("p", *(rule(DENY) for _ in range(Limit.MAX_RULES - 2))))
    assert len(ingress(compile_rulesets(effective(many, failsafes=[SSH])))) == Limit.MAX_RULES


def test_log_goes_on_with_the_next_rule_and_pass_behind_its_tier() -> None:
    first = tier("first", policy("p", rule(LOG), rule(PASS, 80), rule(DENY, 81)), policy("q", rule(PASS), rule(DENY)))
    second = tier("second", policy("r", rule(LOG), rule(DENY)))
    assert outline(effective(first, second)) == [
        (Verdict.CONTINUE, 1),
        (Verdict.CONTINUE, 5),
        (Verdict.DENY, 0),
        (Verdict.CONTINUE, 5),
        (Verdict.DENY, 0),
        (Verdict.CONTINUE, 6),
        (Verdict.DENY, 0),
        (Verdict.NONE, 0),
    ]


def test_log_of_several_conjunctions_goes_on_behind_all_of_them() -> None:
    """So that it is counted once a packet."""
    members = tuple(PortMember(ip_address("192.0.2.1"), 6, port) for port in (80, 81))
    log = rule(LOG, destination=Side(ports=PortMatch(members=members)))
    compiled = ingress(compile_rulesets(effective(tier("t", policy("p", log, rule(DENY))))))
    assert len(compiled) == 4
    assert [one.resume for one in compiled] == [2, 2, 0, 0]
    assert all(one.flags & RuleFlag.LOG for one in compiled[:2])
    assert compiled[0].identity == compiled[1].identity


def test_staged_policies_are_left_out() -> None:
    staged = policy("staged", rule(DENY), *(rule(LOG) for _ in range(40)), staged=True)
    assert outline(effective(tier("t", staged, policy("p", rule(ALLOW))))) == [(Verdict.ALLOW, 0), (Verdict.NONE, 0)]


def test_flag_of_rules_that_hang_on_ports() -> None:
    compiled = ingress(compile_rulesets(effective(tier("t", policy("p", rule(DENY, 80), rule(DENY))))))
    assert [bool(one.flags & RuleFlag.PORTS) for one in compiled] == [True, False, False]


def identities(policy_: EffectivePolicy) -> list[int | None]:
    return [one.identity for one in ingress(compile_rulesets(policy_))][:-1]


RULES = [rule(action, port, policy="p") for action in (ALLOW, DENY) for port in range(1, 6)]


@given(st.permutations(RULES))
def test_identities_survive_reordering(order: list[EffectiveRule]) -> None:
    before = dict(zip([one.id for one in RULES], identities(effective(tier("t", policy("p", *RULES)))), strict=True))
    after = identities(effective(tier("t", policy("p", *order))))
    assert [before[one.id] for one in order] == after
    assert len(set(after)) == len(RULES)


@given(st.integers(0, len(RULES) - 1), st.sampled_from(["remove", "edit", "insert"]))
def test_an_edit_changes_no_other_identity(position: int, how: str) -> None:
    before = identities(effective(tier("t", policy("p", *RULES))))
    new = rule(DENY, 99, policy="p")
    edited = [*RULES[:position], *([] if how == "remove" else [new]), *RULES[position + (how != "insert") :]]
    after = identities(effective(tier("t", policy("p", *edited))))
    assert set(after) >= set(before) - {before[position]}
    assert (before[position] in after) == (how == "insert")


def test_identity_does_not_depend_on_the_position_or_the_other_policies() -> None:
    one = rule(DENY, 80, policy="p", index=0)
    alone = identities(effective(tier("t", policy("p", one))))
    later = replace(one, id=replace(one.id, index=7))
    moved = identities(effective(tier("s", policy("o", rule(ALLOW, policy="o"))), tier("t", policy("p", later))))
    assert moved[1:] == alone


@pytest.mark.parametrize(
    "change",
    [{"tier": "other"}, {"policy": "other"}, {"kind": "Profile"}, {"direction": Direction.EGRESS}, {"content": "x"}],
    ids=lambda change: next(iter(change)),
)
def test_identity_is_that_of_one_rule(change: dict[str, Any]) -> None:
    one = rule(DENY, 80)
    other = replace(one, id=replace(one.id, **change))
    assert len(set(identities(effective(tier("t", policy("p", one, other)))))) == 2


def test_rules_that_say_the_same_twice_have_two_identities() -> None:
    one = rule(DENY, 80)
    first, second, third = identities(effective(tier("t", policy("p", one, one, one))))
    assert len({first, second, third}) == 3
    assert identities(effective(tier("t", policy("p", one, one)))) == [first, second]


def test_endpoints_share_identities() -> None:
    compiled = compile_rulesets(effective(tier("t", policy("p", *RULES)), interfaces=["eth0", "eth1"]))
    assert ingress(compiled, 0) == ingress(compiled, 1)
    assert sum(name.kind == "GlobalNetworkPolicy" for name in compiled.identities.values()) == len(RULES)


def test_names_of_identities() -> None:
    compiled = compile_rulesets(effective(tier("t", policy("p", rule(DENY, 80, tier="t", index=3))), failsafes=[SSH]))
    failsafe, deny, mirrored, *_ = compiled.identities.values()
    assert (deny.tier, deny.policy, deny.kind, deny.action, deny.rule) == ("t", "p", "GlobalNetworkPolicy", "Deny", 3)
    assert (deny.direction, compiled.identities[deny.identity]) == (0, deny)
    for one in (failsafe, mirrored):
        assert (one.tier, one.policy, one.kind, one.action) == ("", "failsafe", "FelixConfiguration", "Allow")
        assert one.direction == Direction.INGRESS.value  # of the list that it stands in


def test_limit_of_rules() -> None:
    """The end of the list is one of them."""
    many = [rule(DENY, 80)] * (Limit.MAX_RULES - 1)
    assert len(ingress(compile_rulesets(effective(tier("t", policy("p", *many)))))) == Limit.MAX_RULES
    with pytest.raises(CapacityError, match=r"eth0 untracked ingress: rules: 32,769 needed, at most 32,768 possible"):
        compile_rulesets(effective(tier("t", policy("p", *many, rule(ALLOW)))))


def test_limit_of_log_and_pass_rules() -> None:
    """All Pass rules of a tier are one step: a packet meets only one of them."""
    logs = [rule(LOG, port) for port in range(1, Limit.MAX_CONTINUES)]
    enough = effective(tier("t", policy("p", *logs, rule(PASS, 80), rule(PASS, 81))))
    assert len(ingress(compile_rulesets(enough))) == Limit.MAX_CONTINUES + 2
    with pytest.raises(CapacityError, match="33 needed, at most 32 possible") as caught:
        compile_rulesets(effective(tier("t", policy("p", *logs, rule(LOG), rule(PASS, 80)))))
    assert "merge Log rules" in caught.value.hint


def test_limit_of_log_and_pass_rules_counts_profiles() -> None:
    logs = [rule(LOG, port) for port in range(1, Limit.MAX_CONTINUES - 1)]
    tiers = tier("t", policy("p", *logs))

    def compiled(*profiles: EffectivePolicyRules) -> Rulesets:
        return compile_rulesets(effective(tiers, policy_class=PolicyClass.NORMAL, profiles=profiles))

    compiled(profile("a", rule(PASS, 80), rule(PASS, 81)), profile("b", rule(PASS)))
    with pytest.raises(CapacityError, match="eth0 normal ingress: Log rules.*33 needed, at most 32 possible"):
        compiled(profile("a", rule(PASS, 80), rule(LOG)), profile("b", rule(PASS)))
