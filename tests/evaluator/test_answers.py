"""What an answer says beside its verdict: deciding rule, trace, logs; and later fragments."""

from __future__ import annotations

import pytest

from pyxdp.evaluator import PolicyClass, Reason, Verdict
from pyxdp.model import Action, EntityRule, Rule
from tests.evaluator.factories import (
    ALLOW,
    DENY,
    IN,
    LOG,
    PASS,
    failsafes,
    forward,
    host,
    nets,
    packet,
    policy,
    protocol,
    tier,
    to_port,
    untracked,
)

NO_FAILSAFES = failsafes()
FRAGMENT = packet(name="UDP", later_fragment=True)


class TestDecidingRule:
    def test_is_named_in_full(self) -> None:
        blocking = untracked("security.a", tier="security", ingress=[to_port(80), to_port(81)])
        items = (tier("security", order=1), blocking)
        rule = host(*items).judge(IN, packet(81)).rule
        assert rule is not None
        assert (rule.tier, rule.kind, rule.policy) == ("security", "GlobalNetworkPolicy", "security.a")
        assert (rule.direction, rule.number, rule.action) == (IN, 1, Action.ALLOW)
        assert str(rule) == "security/security.a/ingress[1]"

    def test_is_none_at_the_end_of_a_tier(self) -> None:
        assert host(policy("n", ingress=[])).judge(IN, packet()).rule is None


class TestTrace:
    def test_names_each_rule_and_the_condition_that_failed(self) -> None:
        rules = [
            Rule(action=Action.ALLOW, ipVersion=6),
            to_port(80, name="UDP"),
            to_port(80),
            Rule(action=Action.DENY, source=EntityRule(nets=nets("203.0.113.0/24"))),
            Rule(action=Action.DENY, destination=EntityRule(notSelector="all()"), source=EntityRule(selector="has(x)")),
            LOG,
            PASS,
            DENY,
        ]
        result = host(untracked("u", ingress=rules)).judge_class(PolicyClass.UNTRACKED, IN, packet(81))
        assert [(step.rule.number, step.matched, step.why) for step in result.trace] == [
            (0, "no", "ipVersion"),
            (1, "no", "protocol"),
            (2, "no", "destination.ports"),
            (3, "no", "source.nets"),
            (4, "no", "source.selector"),
            (5, "yes", ""),
            (6, "yes", ""),
        ]

    def test_holds_nothing_of_what_was_not_looked_at(self) -> None:
        result = host(untracked("u", ingress=[ALLOW])).judge_class(PolicyClass.UNTRACKED, IN, packet(22))
        assert (result.reason, result.trace) == (Reason.FAILSAFE, ())


def test_logs_of_all_classes_are_listed_in_order() -> None:
    result = host(untracked("u", ingress=[LOG]), policy("n", ingress=[LOG, ALLOW])).judge(IN, packet())
    assert [rule.policy for rule in result.logs] == ["u", "n"]


class TestLaterFragments:
    """What is not in the table: what the answer says beside the verdict."""

    def test_allow_takes_nothing_out_of_tracking(self) -> None:
        result = host(NO_FAILSAFES, untracked("u", ingress=[ALLOW])).judge(IN, FRAGMENT)
        assert (result.verdict, result.untracked) == (Verdict.ALLOW, False)

    def test_no_verdict_names_the_rule_that_might_match(self) -> None:
        rule = to_port(53, action=Action.DENY, name="UDP")
        result = host(NO_FAILSAFES, untracked("u", ingress=[rule])).judge(IN, FRAGMENT)
        assert (result.verdict, result.reason, str(result.rule)) == (
            Verdict.NO_VERDICT, Reason.FRAGMENT, "default/u/ingress[0]",
        )  # fmt: skip
        assert [step.matched for step in result.deciding.trace] == ["maybe"]

    def test_no_verdict_names_the_failsafe_port_that_it_might_use(self) -> None:
        result = host(untracked("u", ingress=[DENY])).judge(IN, FRAGMENT)
        assert (result.reason, str(result.rule)) == (Reason.FRAGMENT, "FelixConfiguration/failsafe/ingress[1]")

    def test_tracked_classes_are_not_asked(self) -> None:
        result = host(NO_FAILSAFES, policy("n", ingress=[DENY])).judge(IN, FRAGMENT)
        assert [each.policy_class for each in result.classes] == [PolicyClass.UNTRACKED]

    def test_tracked_classes_refuse_them(self) -> None:
        with pytest.raises(ValueError, match="reassembled"):
            host(forward("f", ingress=[DENY])).judge_class(PolicyClass.FORWARD, IN, FRAGMENT)

    def test_a_port_name_without_a_number_at_that_address_leaves_nothing_open(self) -> None:
        excluded = EntityRule(notPorts=("no-such-name",))
        rule = Rule(action=Action.DENY, protocol=protocol("UDP"), destination=excluded)
        assert host(NO_FAILSAFES, untracked("u", ingress=[rule])).judge(IN, FRAGMENT).verdict is Verdict.DENY
