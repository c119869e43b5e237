"""The server stops, is cut off, forgets, or refuses: what was said stays in force, and everything is made up for."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from pyxdp.sources import Store, Text
from pyxdp.sources.kubernetes import api
from pyxdp.sources.kubernetes.reflection import Reflection
from tests.cluster.conftest import documents, token_of
from tests.cluster.following import following, names_of
from tests.cluster.objects import gnp, gns, hep, pod
from tests.cluster.server import collection_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tests.cluster.conftest import Recorder
    from tests.cluster.server import Cluster


@pytest.fixture
def healed(cluster: Cluster) -> Iterator[Cluster]:
    """The cluster, which is whole again after the test however that ends."""
    try:
        yield cluster
    finally:
        cluster.restore()
        cluster.resume_server()


def test_a_server_that_stops_and_starts(healed: Cluster, installed: str, admin: Recorder) -> None:
    admin.create(gns("set-1", "10.0.0.0/8"))
    with following(healed, installed) as follower:
        follower.until(lambda it: it.complete)
        before = follower.resources
        healed.stop_server()
        try:
            follower.until(lambda it: not it.last.connected, "the source is cut off")
            assert "does not answer" in follower.last.trouble
        finally:
            healed.start_server()
        follower.until(lambda it: it.last.connected, "the source is connected again")
        assert follower.last.trouble == ""
        assert follower.resources is before
        admin.create(gns("set-2", "10.0.0.0/8"))
        follower.until_names("globalNetworkSets", {"set-1", "set-2"})


def test_a_source_that_starts_before_the_server(healed: Cluster, installed: str, admin: Recorder) -> None:
    admin.create(gns("set-1", "10.0.0.0/8"))
    healed.stop_server()
    try:
        with following(healed, installed) as follower:
            follower.until(lambda it: "does not answer" in it.last.trouble)
            assert not follower.complete
            healed.start_server()
            follower.until(lambda it: it.complete)
            follower.until_names("globalNetworkSets", {"set-1"})
            assert all(delivery.complete for delivery in follower.deliveries if delivery.texts)
    finally:
        if not healed.is_running:
            healed.start_server()


def test_a_version_that_is_too_old(
    healed: Cluster, installed: str, admin: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While nobody answers, objects come, change and go, and the server forgets that they did: 410 Gone.

    Nor does it know of its old connections, which look alive to the source. TCP would find that out after a while.
    """
    monkeypatch.setattr(api, "KEEPALIVE", ())
    changed, gone, stays = gns("set-1", "10.0.0.0/8"), gns("set-2", "10.0.0.0/8"), gns("set-3", "10.0.0.0/8")
    admin.create(changed, gone, stays)
    old = admin.client.get(collection_of(changed))["metadata"]["resourceVersion"]
    with following(healed, installed) as follower:
        follower.until_names("globalNetworkSets", {"set-1", "set-2", "set-3"})
        (kept,) = (one for one in follower.resources.globalNetworkSets if one.metadata.name == "set-3")
        healed.cut()
        admin.merge(gns("set-1", "10.0.0.1/32"))
        admin.delete(gone)
        admin.create(gns("set-4", "10.0.0.0/8"))
        healed.stop_server()
        # Nothing that the kernel still sends shall tell the source; some can not do this, and then TCP tells it sooner.
        healed.space.run("ss", "--kill", "--tcp", "state", "all", "sport", "=", ":6443", check=False)
        healed.start_server()
        assert _is_expired(admin, old)
        healed.restore()
        follower.until_names("globalNetworkSets", {"set-1", "set-3", "set-4"})
        found = {one.metadata.name: one for one in follower.resources.globalNetworkSets}
        assert list(map(str, found["set-1"].nets)) == ["10.0.0.1/32"]
        assert found["set-3"] is kept


@pytest.mark.parametrize("way", ["cut", "pause_server"])
def test_a_server_that_says_nothing(way: str, healed: Cluster, installed: str, admin: Recorder) -> None:
    """No connection ends, and yet the source notices, keeps what was said, and goes on when it can."""
    admin.create(gns("set-1", "10.0.0.0/8"))
    with following(healed, installed) as follower:
        follower.until(lambda it: it.complete)
        before = follower.resources
        getattr(healed, way)()
        follower.until(lambda it: not it.last.connected, "the source is cut off")
        assert follower.last.trouble
        assert follower.resources is before
        healed.restore()
        healed.resume_server()
        follower.until(lambda it: it.last.connected, "the source is connected again")
        admin.merge(gns("set-1", "10.0.0.1/32"))
        follower.until(lambda it: [*map(str, it.resources.globalNetworkSets[0].nets)] == ["10.0.0.1/32"])


def test_a_source_ends_while_it_is_cut_off(healed: Cluster, installed: str) -> None:
    with following(healed, installed) as follower:
        follower.until(lambda it: it.complete)
        healed.cut()
        follower.until(lambda it: not it.last.connected)


def test_a_kind_that_may_not_be_read(cluster: Cluster, installed: str, admin: Recorder) -> None:
    with following(cluster, _token_without(cluster, "no-pods", "pods")) as follower:
        follower.until(lambda it: it.complete)
        assert follower.last.connected
        assert "may not list pods: " in follower.last.trouble
        (first,) = (delivery for delivery in follower.deliveries if delivery.complete)
        assert first.silent == ("kubernetes/pods/",)
        admin.create(gns("set-1", "10.0.0.0/8"))
        follower.until_names("globalNetworkSets", {"set-1"})


def test_what_was_remembered_of_a_kind_that_may_not_be_read(cluster: Cluster, installed: str, admin: Recorder) -> None:
    """It stays as long as nothing is known of the kind, and then only if it is still there."""
    gone = pod("old-1") | {"status": {"podIPs": [{"ip": "10.1.2.3"}]}}
    with following(cluster, _token_without(cluster, "no-pods-2", "pods")) as follower:
        follower.store = Store.of([Text("kubernetes/pods/default/old-1", json.dumps(gone))])
        follower.until(lambda it: it.complete)
        assert names_of(follower.resources, "networkSets") == {"pod:old-1"}
        _grant(cluster, "no-pods-2", "pods", group="")
        follower.until_names("networkSets", set())


def test_a_defect(cluster: Cluster, installed: str, admin: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is told, and what comes after it is followed all the same."""
    read, broken = Reflection._read, gns("set-1", "10.0.0.0/8")

    def misread(self: Reflection, written: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        if written["metadata"]["name"] == "set-1" and written["spec"]["nets"] == ["10.0.0.0/8"]:
            raise RuntimeError("never heard of")
        return read(self, written)

    monkeypatch.setattr(Reflection, "_read", misread)
    with following(cluster, installed) as follower:
        follower.until(lambda it: it.complete)
        admin.create(broken)
        follower.until(lambda it: "a defect of pyxdp: RuntimeError('never heard of')" in it.last.trouble)
        assert not follower.last.connected
        admin.merge(gns("set-1", "10.0.0.1/32"))
        follower.until_names("globalNetworkSets", {"set-1"})
        follower.until(lambda it: it.last.connected)


def test_a_kind_that_decides_and_may_not_be_read(cluster: Cluster, installed: str, admin: Recorder) -> None:
    """Without its policies a host endpoint would be closed altogether: nothing is said before they are known."""
    admin.create(hep("hep-1", "node-1"), gnp("policy-1"))
    token = _token_without(cluster, "no-policies", "globalnetworkpolicies")
    with following(cluster, token) as follower:
        follower.until(lambda it: "may not list globalnetworkpolicies.projectcalico.org: " in it.last.trouble)
        assert not follower.last.connected
        assert follower.resources.hostEndpoints == ()
        _grant(cluster, "no-policies", "globalnetworkpolicies")
        follower.until(lambda it: it.complete)
        follower.until_names("globalNetworkPolicies", {"policy-1"})
        follower.until(lambda it: it.last.connected)
        assert follower.last.trouble == ""


def test_a_token_that_nobody_knows(cluster: Cluster, installed: str) -> None:
    with following(cluster, "unknown") as follower:
        follower.until(lambda it: "Unauthorized" in it.last.trouble)
        assert not follower.complete


def _is_expired(admin: Recorder, version: str) -> bool:
    query = f"watch=true&resourceVersion={version}&timeoutSeconds=1"
    answer = admin.client.ask("GET", f"/apis/projectcalico.org/v3/globalnetworksets?{query}")
    return b'"code":410' in answer.body


def _token_without(cluster: Cluster, name: str, resource: str) -> str:
    """Return a token of somebody with the agent's role, but for one resource."""
    (role,) = (it for it in documents("rbac.yaml") if it["kind"] == "ClusterRole")
    for rule in role["rules"]:
        rule["resources"] = [it for it in rule["resources"] if it != resource]
    role["metadata"]["name"] = name
    with cluster.admin() as admin:
        admin.create(role)
        _bind(cluster, name, name)
        return token_of(admin, name)


def _grant(cluster: Cluster, name: str, resource: str, group: str = "projectcalico.org") -> None:
    rule = {"apiGroups": [group], "resources": [resource], "verbs": ["list", "watch"]}
    role = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": f"{name}-2"}}
    with cluster.admin() as admin:
        admin.create({**role, "rules": [rule]})
    _bind(cluster, name, f"{name}-2")


def _bind(cluster: Cluster, account: str, role: str) -> None:
    with cluster.admin() as admin:
        existing = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": account, "namespace": "pyxdp"}}
        if not admin.ask("GET", f"{collection_of(existing)}/{account}").is_good:
            admin.create(existing)
        admin.create(
            {
                "apiVersion": "rbac.authorization.k8s.io/v1",
                "kind": "ClusterRoleBinding",
                "metadata": {"name": role},
                "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
                "subjects": [{"kind": "ServiceAccount", "name": account, "namespace": "pyxdp"}],
            }
        )
