"""The agent's view in the words of Kubernetes."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pyxdp.agent import AgentView, SourceView
from pyxdp.dataplane import Attachment, EndpointStatus, Status
from pyxdp.sources import StoredProblem
from pyxdp.sources.kubernetes.conditions import Condition, is_settled, of_host_endpoint, of_node

ETH0 = EndpointStatus(
    attachment=Attachment(interface="eth0", host_endpoint="a", mode="native"),
    number=1,
    ifindex=2,
    hooks=("XDP",),
    reasons={},
)
ETH1 = replace(
    ETH0,
    attachment=Attachment(interface="eth1", host_endpoint="b", mode="generic", reason="the driver has no XDP"),
)
WELL = AgentView(
    node="n", started_ns=0, synced=True, enforcing=True, status=Status(applied=True, endpoints=(ETH0, ETH1))
)


def said(conditions: tuple[Condition, ...]) -> list[tuple[str, str]]:
    return [(condition.status, condition.reason) for condition in conditions]


def test_all_is_well() -> None:
    assert said(of_host_endpoint(WELL, "a")) == [
        ("True", "InForce"),
        ("True", "RulesInPlace"),
        ("False", "AsExpected"),
    ]


def test_generic_xdp_is_of_its_endpoint() -> None:
    found = of_host_endpoint(WELL, "b")
    assert said(found) == [("True", "InForce"), ("True", "RulesInPlace"), ("True", "Impaired")]
    assert found[2].message == "eth1: the driver has no XDP"
    assert said(of_node(WELL)) == [("True", "InForce"), ("True", "RulesInPlace"), ("False", "AsExpected")]


def test_nobody_vouches_for_the_rules_of_what_is_not_enforced() -> None:
    assert said(of_node(replace(WELL, enforcing=False)))[1] == ("Unknown", "NotApplied")


@pytest.mark.parametrize(
    ("view", "expected"),
    [
        (AgentView(node="n", started_ns=0), ("Unknown", "NotSynced")),
        (replace(WELL, enforcing=False, sources={"s": SourceView()}), ("Unknown", "NotSynced")),
        (replace(WELL, enforcing=False), ("False", "NotApplied")),
        (replace(WELL, status=None), ("Unknown", "NotSeen")),
        (replace(WELL, status=Status()), ("False", "NoInterface")),
    ],
)
def test_what_is_not_enforced(view: AgentView, expected: tuple[str, str]) -> None:
    for found in (of_node(view), of_host_endpoint(view, "a")):
        assert (found[0].status, found[0].reason) == expected


def test_who_has_just_started_does_not_know_yet() -> None:
    unheard, heard = {"s": SourceView()}, {"s": SourceView(synced=True)}
    assert is_settled(replace(WELL, sources=heard))
    assert is_settled(replace(WELL, sources=heard, enforcing=False, status=None))
    assert not is_settled(replace(WELL, sources=heard, status=None))
    assert not is_settled(replace(WELL, sources=unheard))


def test_problems() -> None:
    own = StoredProblem("HostEndpoint/a", "f", "f:1:1: wrong", stands_in=True)
    other = StoredProblem("GlobalNetworkPolicy/p", "f", "f:2:1: wrong, too")
    view = replace(WELL, problems=(other, own), degraded=("a source is cut off",))
    assert of_node(view)[2].message == (
        "f:2:1: wrong, too; f:1:1: wrong (the last good version is in force); a source is cut off"
    )
    assert of_host_endpoint(view, "a")[2].reason == "Invalid"
    assert of_host_endpoint(view, "b")[2].reason == "Impaired"


def test_written() -> None:
    before = [{"type": "XDegraded", "status": "True", "lastTransitionTime": "then"}]
    same = Condition("Degraded", "True", "Why", "m" * 2000).written(before, "now", "X")
    assert same["lastTransitionTime"] == "then"
    assert len(same["message"]) == 1024
    assert same["message"].endswith(" ...")
    assert Condition("Degraded", "False", "Why", "m").written(before, "now", "X")["lastTransitionTime"] == "now"
