"""Objects of every kind come, change and go."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from pyxdp.sources.kubernetes.access import of_pod
from pyxdp.sources.kubernetes.kinds import KINDS
from tests.cluster.following import QUICK, following, names_of
from tests.cluster.objects import calico, core, gnp, gns, hep, pod
from tests.cluster.server import path_of

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cluster.conftest import Recorder
    from tests.cluster.following import Follower
    from tests.cluster.server import Cluster

CALICO = {
    "hostEndpoints": hep("hep-1", "node-1"),
    "globalNetworkPolicies": gnp("policy-1"),
    "stagedGlobalNetworkPolicies": calico("StagedGlobalNetworkPolicy", "staged-1", {"stagedAction": "Set"}),
    "networkPolicies": calico("NetworkPolicy", "policy-1", {"selector": "all()"}, namespace="default"),
    "tiers": calico("Tier", "tier-1", {"order": 10}),
    "globalNetworkSets": gns("set-1", "10.0.0.0/8"),
    "networkSets": calico("NetworkSet", "set-1", {"nets": ["10.0.0.1"]}, namespace="default"),
    "profiles": calico("Profile", "profile-1", {"labelsToApply": {"a": "b"}}),
    "felixConfigurations": calico("FelixConfiguration", "default", {"failsafeInboundHostPorts": []}),
}


@pytest.mark.parametrize("collection", CALICO)
def test_calicos_kinds(collection: str, cluster: Cluster, installed: str, admin: Recorder) -> None:
    written = CALICO[collection]
    name = {written["metadata"]["name"]}
    with following(cluster, installed) as follower:
        follower.until(lambda it: it.complete)
        admin.create(written)
        follower.until_names(collection, name)
        admin.merge({**written, "metadata": {**written["metadata"], "labels": {"changed": "yes"}}})
        follower.until(lambda it: next(iter(getattr(it.resources, collection))).metadata.labels == {"changed": "yes"})
        admin.delete(written)
        follower.until_names(collection, set())
        assert follower.store.problems == ()
        assert follower.last.connected
        assert follower.last.trouble == ""


def test_what_was_there_before_comes_at_once(cluster: Cluster, installed: str, admin: Recorder) -> None:
    admin.create(*CALICO.values())
    with following(cluster, installed) as follower:
        follower.until(lambda it: it.complete)
        for collection, written in CALICO.items():
            assert names_of(follower.resources, collection) == {written["metadata"]["name"]}
        (first, *_) = (delivery for delivery in follower.deliveries if delivery.texts)
        assert first.complete
        origins = {text.origin for text in first.texts}
        assert "kubernetes/hostendpoints.projectcalico.org/hep-1" in origins
        assert "kubernetes/networksets.projectcalico.org/default/set-1" in origins
        assert "kubernetes/namespaces/default" in origins
    assert len(CALICO) == len(KINDS) - 3  # and nodes, namespaces, pods


def test_lists_of_many_pages(cluster: Cluster, installed: str, admin: Recorder) -> None:
    wanted = [gns(f"set-{number}", "10.0.0.0/8") for number in range(7)]
    admin.create(*wanted)
    with following(cluster, installed, timing=replace(QUICK, page=2)) as follower:
        follower.until(lambda it: it.complete)
        assert names_of(follower.resources, "globalNetworkSets") == {one["metadata"]["name"] for one in wanted}


def test_a_node_that_only_lives_wakes_nobody(cluster: Cluster, installed: str, admin: Recorder) -> None:
    node = core("Node", "node-7", status={"addresses": [{"type": "InternalIP", "address": "192.0.2.7"}]})
    admin.create(node)
    with following(cluster, installed) as follower:
        follower.until(lambda it: it.complete)
        for number in range(5):
            beat = {"status": {"conditions": [{"type": "Ready", "status": "True", "message": str(number)}]}}
            admin.client.send("PATCH", f"{path_of(node)}/status", beat, "application/merge-patch+json")
        admin.merge(core("Node", "node-7") | {"metadata": {"name": "node-7", "labels": {"rack": "3"}}})
        follower.until(lambda it: _of(it, "nodes/node-7"), "the label comes")
        # Events of a kind come in order: nothing came of the five before.
        assert len(_of(follower, "nodes/node-7")) == 1
        (found,) = follower.resources.nodes
        assert found.metadata.labels["rack"] == "3"
        assert [str(address) for address in found.addresses] == ["192.0.2.7"]


def test_pods_have_addresses_for_a_while(cluster: Cluster, installed: str, admin: Recorder) -> None:
    web, host = pod("web-1", serviceAccountName="seller"), pod("host-1", hostNetwork=True)
    with following(cluster, installed) as follower:
        follower.until(lambda it: it.complete)
        admin.create(host, web)
        for one, address in ((host, "192.0.2.1"), (web, "10.1.2.3")):
            status = {"status": {"phase": "Running", "podIP": address, "podIPs": [{"ip": address}]}}
            admin.client.send("PATCH", f"{path_of(one)}/status", status, "application/merge-patch+json")
        follower.until_names("networkSets", {"pod:web-1"})
        (found,) = follower.resources.networkSets
        assert list(map(str, found.nets)) == ["10.1.2.3/32"]
        assert found.metadata.labels["projectcalico.org/serviceaccount"] == "seller"
        done = {"status": {"phase": "Succeeded"}}
        admin.client.send("PATCH", f"{path_of(web)}/status", done, "application/merge-patch+json")
        follower.until_names("networkSets", set())


def test_namespaces_and_their_labels(cluster: Cluster, installed: str, admin: Recorder) -> None:
    with following(cluster, installed) as follower:
        follower.until(lambda it: it.complete)
        admin.merge(core("Namespace", "default") | {"metadata": {"name": "default", "labels": {"team": "a"}}})
        follower.until(
            lambda it: any(one.metadata.labels.get("team") == "a" for one in it.resources.namespaces), "the label comes"
        )
        admin.merge(core("Namespace", "default") | {"metadata": {"name": "default", "labels": {"team": None}}})


def test_host_endpoints_of_nodes(cluster: Cluster, installed: str, admin: Recorder) -> None:
    node = core("Node", "node-8", status={"addresses": [{"type": "InternalIP", "address": "192.0.2.8"}]})
    node["metadata"]["labels"] = {"rack": "8"}
    admin.create(node)
    with following(cluster, installed, auto_host_endpoints=True) as follower:
        follower.until(lambda it: it.complete)
        (endpoint,) = follower.resources.hostEndpoints
        assert endpoint.metadata.name == "node-8-auto-hep"
        assert (endpoint.node, endpoint.interfaceName) == ("node-8", "*")
        assert endpoint.profiles == ("projectcalico-default-allow",)
        assert endpoint.metadata.labels["rack"] == "8"
        assert [str(address) for address in endpoint.expectedIPs] == ["192.0.2.8"]
        admin.delete(node)
        follower.until_names("hostEndpoints", set())


def test_what_is_wrong_keeps_its_last_good_version(cluster: Cluster, installed: str, admin: Recorder) -> None:
    with following(cluster, installed) as follower:
        follower.until(lambda it: it.complete)
        admin.create(gnp("policy-2", "role == 'a'"))
        follower.until_names("globalNetworkPolicies", {"policy-2"})
        admin.merge(gnp("policy-2", "role = 'b'"))
        follower.until(lambda it: it.store.problems)
        (problem,) = follower.store.problems
        assert (problem.key, problem.stands_in) == ("GlobalNetworkPolicy/policy-2", True)
        assert [policy.selector for policy in follower.resources.globalNetworkPolicies] == ["role == 'a'"]
        admin.merge(gnp("policy-2", "role == 'c'"))
        follower.until(lambda it: not it.store.problems)
        assert [policy.selector for policy in follower.resources.globalNetworkPolicies] == ["role == 'c'"]


def test_a_thousand_sets_and_two_hundred_policies(cluster: Cluster, installed: str, admin: Recorder) -> None:
    sets = [gns(f"set-{number}", f"10.{number // 250}.{number % 250}.0/24") for number in range(1000)]
    policies = [gnp(f"policy-{number}", f"role == 'r{number}'", order=number) for number in range(200)]
    with following(cluster, installed) as follower:
        follower.until(lambda it: it.complete)
        admin.create(*sets, *policies)
        follower.until(lambda it: len(it.resources.globalNetworkSets) == len(sets))
        follower.until(lambda it: len(it.resources.globalNetworkPolicies) == len(policies))
    with following(cluster, installed) as follower:  # now in pages
        follower.until(lambda it: it.complete)
        assert names_of(follower.resources, "globalNetworkSets") == {one["metadata"]["name"] for one in sets}
        assert names_of(follower.resources, "globalNetworkPolicies") == {one["metadata"]["name"] for one in policies}


def test_a_pods_service_account_is_enough(
    cluster: Cluster, installed: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "token").write_text(installed)
    (tmp_path / "ca.crt").write_bytes(cluster.authority.read_bytes())
    host, port = cluster.url.removeprefix("https://").split(":")
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", host)
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", port)
    with following(cluster, installed, access=of_pod(tmp_path)) as follower:
        follower.until(lambda it: it.complete)
        assert follower.last.connected


def _of(follower: Follower, end: str) -> list[str]:
    """Return the texts of an object that came after the first delivery."""
    later = [delivery for delivery in follower.deliveries if not delivery.complete]
    return [text.origin for delivery in later for text in delivery.texts if text.origin.endswith(end)]
