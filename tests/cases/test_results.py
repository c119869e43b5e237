"""What makes a case fail, and how that is told."""

from __future__ import annotations

import pytest

from pyxdp.cases import Case, CaseResult, Stage, Verdict, describe, run_cases
from pyxdp.cases.packets import HOST, PEER
from pyxdp.errors import ManifestError
from pyxdp.evaluator import Context, Path
from pyxdp.manifest import loads
from pyxdp.model import Origin, Resources
from pyxdp.net import Packet
from pyxdp.trial import Judgement, PolicyClass, RuleName

RULE = RuleName(tier="default", kind="GlobalNetworkPolicy", policy="web", direction="ingress", number=2, action="Deny")
DENIED = Judgement(verdict=Verdict.DENY, policy_class=PolicyClass.NORMAL, reason="DROP_POLICY", rule=RULE)
UNTRACKED = Judgement(verdict=Verdict.ALLOW, untracked=True, policy_class=PolicyClass.UNTRACKED, reason="PASS_ALLOWED")
ESTABLISHED = Judgement(verdict=Verdict.ALLOW, policy_class=PolicyClass.PRE_DNAT, reason="ESTABLISHED")
PACKET = Packet(protocol=47, source=PEER[4], destination=HOST[4])


def case(expect: Verdict = Verdict.DENY, *, untracked: bool | None = None, stage: Stage = Stage.ALL) -> Case:
    return Case(
        name="it",
        endpoint="hep",
        packet=PACKET,
        expect=expect,
        untracked=untracked,
        stage=stage,
        context=Context(path=Path.FORWARD),
        origin=Origin("cases.yaml", 7),
    )


@pytest.mark.parametrize(
    ("judgement", "words"),
    [
        (DENIED, "deny by default/web/ingress[2] (normal, DROP_POLICY)"),
        (UNTRACKED, "allow untracked (untracked, PASS_ALLOWED)"),
        (ESTABLISHED, "allow (ESTABLISHED)"),
        (Judgement(verdict=Verdict.NO_MATCH, reason="PASS_NOT_IP"), "no-match (PASS_NOT_IP)"),
    ],
    ids=["rule", "untracked", "connection", "no class"],
)
def test_words(judgement: Judgement, words: str) -> None:
    assert describe(judgement) == words


def test_words_with_a_place() -> None:
    assert describe(DENIED, Origin("web.yaml", 30)) == (
        "deny by default/web/ingress[2] at web.yaml:30 (normal, DROP_POLICY)"
    )


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        (RULE, "default/web/ingress[2]"),
        (RuleName(tier="t", kind="Tier", policy="t", direction="ingress", number=0, action="Deny"), "end of tier t"),
        (
            RuleName(tier="", kind="HostEndpoint", policy="h", direction="egress", number=0, action="Deny"),
            "HostEndpoint/h",
        ),
        (
            RuleName(tier="", kind="Profile", policy="p", direction="egress", number=1, action="Allow"),
            "Profile/p/egress[1]",
        ),
    ],
    ids=["policy", "tier", "endpoint", "profile"],
)
def test_words_for_rules(rule: RuleName, words: str) -> None:
    assert str(rule) == words


def test_as_expected() -> None:
    result = CaseResult(case=case(), judgements={"programs": DENIED, "evaluator": DENIED})
    assert (result.passed, result.failure, result.judgement) == (True, "", DENIED)
    assert CaseResult(case=case(Verdict.ALLOW, untracked=True), judgements={"evaluator": UNTRACKED}).passed


def test_another_verdict() -> None:
    result = CaseResult(case=case(Verdict.ALLOW), judgements={"programs": DENIED, "evaluator": DENIED})
    assert not result.passed
    assert result.failure == "expected allow, got deny by default/web/ingress[2] (normal, DROP_POLICY)"


def test_tracked_and_not() -> None:
    result = CaseResult(case=case(Verdict.ALLOW, untracked=False), judgements={"programs": UNTRACKED})
    assert result.failure == "expected allow tracked, got allow untracked (untracked, PASS_ALLOWED)"


def test_a_disagreement_fails_even_if_one_is_as_expected() -> None:
    result = CaseResult(case=case(), judgements={"programs": DENIED, "evaluator": ESTABLISHED})
    assert not result.passed
    assert result.failure == (
        "expected deny, and the engines disagree: "
        "programs: deny by default/web/ingress[2] (normal, DROP_POLICY); evaluator: allow (ESTABLISHED)"
    )


def test_no_class_has_a_say() -> None:
    """At the end of the way such a packet passes; before it, nothing is decided."""
    endpoint = (
        "{apiVersion: projectcalico.org/v3, kind: HostEndpoint, metadata: {name: hep}, "
        "spec: {node: n, interfaceName: e}}"
    )
    forward = (
        "{apiVersion: projectcalico.org/v3, kind: GlobalNetworkPolicy, metadata: {name: f}, "
        "spec: {applyOnForward: true, ingress: [{action: Pass}]}}"
    )
    resources = loads(f"{endpoint}\n---\n{forward}").resources
    cases = [
        case(Verdict.NO_MATCH),
        case(Verdict.ALLOW),
        case(Verdict.DENY),
        case(Verdict.NO_MATCH, stage=Stage.PRE_DNAT),
        case(Verdict.ALLOW, stage=Stage.PRE_DNAT),
    ]
    results = list(run_cases(cases, resources, "evaluator"))
    assert [result.passed for result in results] == [True, True, False, True, False]


def test_endpoints_that_are_not_there_are_told_together() -> None:
    with pytest.raises(ManifestError) as caught:
        list(run_cases([case(), case()], Resources(), "evaluator"))
    assert [str(problem) for problem in caught.value.problems] == [
        "cases.yaml:7:1: case it: $.endpoint: there is no HostEndpoint `hep`: there are none"
    ] * 2
