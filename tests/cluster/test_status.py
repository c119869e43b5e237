"""What the agent's view says is written into the API."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pyxdp.agent import AgentView
from pyxdp.dataplane import Attachment, EndpointStatus, Status
from pyxdp.sources import StoredProblem
from tests.cluster.following import NODE, QUICK, following
from tests.cluster.objects import core, hep
from tests.cluster.server import path_of
from tests.lab.waiting import wait_until

if TYPE_CHECKING:
    import pytest

    from tests.cluster.conftest import Recorder
    from tests.cluster.server import Cluster

HOOKS = ("XDP", "raw PREROUTING", "raw OUTPUT")
GOVERNED = EndpointStatus(
    attachment=Attachment(interface="eth0", host_endpoint="hep-1", mode="native"),
    number=1,
    ifindex=2,
    hooks=HOOKS,
    reasons={},
)
VIEW = AgentView(
    node=NODE,
    started_ns=0,
    synced=True,
    enforcing=True,
    generation=1,
    status=Status(applied=True, endpoints=(GOVERNED,)),
)
PREFIXED = ("HostPolicyEnforcing", "HostPolicyConntrackBypass", "HostPolicyDegraded")


def test_node_and_host_endpoint(cluster: Cluster, installed: str, admin: Recorder) -> None:
    node, ours, other = core("Node", NODE), hep("hep-1", NODE), hep("hep-2", "node-2")
    elsewhere = hep("hep-3", NODE, interfaceName="eth9")
    admin.create(node, ours, other, elsewhere)
    ready = {"type": "Ready", "status": "True"}
    beat = {"status": {"conditions": [ready]}}
    admin.client.send("PATCH", f"{path_of(node)}/status", beat, "application/merge-patch+json")
    with following(cluster, installed) as follower:
        follower.until(lambda it: it.complete)
        follower.source.report(VIEW)
        wait_until(lambda: len(_conditions(admin, elsewhere)) == 3, what="the last of the conditions")

        found = _conditions(admin, node)
        assert {name: found[name]["status"] for name in PREFIXED} == dict(zip(PREFIXED, TRUE_TRUE_FALSE, strict=True))
        assert found["Ready"]["status"] == "True"
        assert found["HostPolicyEnforcing"]["message"] == "governs eth0"
        assert _statuses(admin, ours) == ["True", "True", "False"]
        assert _statuses(admin, elsewhere) == ["False", "False", "False"]
        assert _conditions(admin, elsewhere)["Enforcing"]["reason"] == "NoInterface"
        assert _conditions(admin, other) == {}

        before = admin.client.status_writes()
        problem = StoredProblem("HostEndpoint/hep-3", "x", "file:1:1: wrong", stands_in=True)
        follower.source.report(replace(VIEW, generation=2))
        follower.source.report(replace(VIEW, generation=3, problems=(problem,)))
        wait_until(lambda: _statuses(admin, elsewhere)[2] == "True")
        degraded = _conditions(admin, elsewhere)["Degraded"]
        assert degraded["message"] == "file:1:1: wrong (the last good version is in force)"
        assert _conditions(admin, node)["HostPolicyDegraded"]["status"] == "True"
        # Nothing is different for hep-1: of the three only the node and hep-3 were written again.
        assert admin.client.status_writes() == before + 2
        # And that is not news for anybody who follows.
        follower.hear()
        assert len([delivery for delivery in follower.deliveries if delivery.texts]) == 1


def test_status_that_somebody_removes(cluster: Cluster, installed: str, admin: Recorder) -> None:
    node, ours = core("Node", NODE), hep("hep-1", NODE)
    admin.create(node, ours)
    with following(cluster, installed, timing=replace(QUICK, rewrite=0.2)) as follower:
        follower.until(lambda it: it.complete)
        for one in (node, ours):
            follower.source.report(VIEW)
            wait_until(lambda one=one: len(_conditions(admin, one)) == 3, what="it is written")
        admin.delete(node, ours)
        admin.create(node, ours)

        def is_back() -> bool:
            follower.source.report(VIEW)
            return len(_conditions(admin, ours)) == 3 and len(_conditions(admin, node)) == 3

        wait_until(is_back, what="it is written again")


def test_a_transition_has_its_time(cluster: Cluster, installed: str, admin: Recorder) -> None:
    ours = hep("hep-1", NODE)
    admin.create(ours)
    long_ago = {"type": "Enforcing", "status": "True", "lastTransitionTime": "2020-01-01T00:00:00Z"}
    status = {"status": {"conditions": [long_ago]}}
    admin.client.send("PATCH", f"{path_of(ours)}/status", status, "application/merge-patch+json")
    with following(cluster, installed) as follower:
        follower.until(lambda it: it.complete)
        follower.source.report(VIEW)
        wait_until(lambda: len(_conditions(admin, ours)) == 3)
        assert _conditions(admin, ours)["Enforcing"]["lastTransitionTime"] == "2020-01-01T00:00:00Z"
        assert _conditions(admin, ours)["Degraded"]["lastTransitionTime"] > "2020-01-01T00:00:00Z"
        follower.source.report(replace(VIEW, enforcing=False))
        wait_until(lambda: _statuses(admin, ours)[0] == "False")
        assert _conditions(admin, ours)["Enforcing"]["lastTransitionTime"] > "2020-01-01T00:00:00Z"


def test_status_that_can_not_be_written(
    cluster: Cluster, installed: str, admin: Recorder, caplog: pytest.LogCaptureFixture
) -> None:
    """There is no Node of that name: that is said once, and the host endpoint's status is written all the same."""
    ours = hep("hep-1", "node-without-object")
    admin.create(ours)
    with following(cluster, installed, node="node-without-object") as follower:
        follower.until(lambda it: it.complete)
        follower.source.report(VIEW)
        wait_until(lambda: len(_conditions(admin, ours)) == 3)
        follower.source.report(replace(VIEW, enforcing=False))
        wait_until(lambda: _statuses(admin, ours)[0] == "False")
    said = [record.getMessage() for record in caplog.records if "status can not be written" in record.getMessage()]
    assert len(said) == 1
    assert '"node-without-object" not found' in said[0]


TRUE_TRUE_FALSE = ("True", "True", "False")


def _conditions(admin: Recorder, written: dict[str, Any]) -> dict[str, dict[str, Any]]:
    status = admin.client.get(path_of(written)).get("status") or {}
    return {it["type"]: it for it in status.get("conditions") or ()}


def _statuses(admin: Recorder, written: dict[str, Any]) -> list[str]:
    found = _conditions(admin, written)
    return [found[name]["status"] for name in ("Enforcing", "ConntrackBypass", "Degraded")]
