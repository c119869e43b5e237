"""A cluster that serves nothing of Calico's at first, and then what Calico stores."""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import pytest

from pyxdp.agent import AgentView
from pyxdp.sources import Store, Text
from pyxdp.sources.kubernetes.kinds import KINDS
from tests.cluster.conftest import documents
from tests.cluster.following import NODE, following, names_of
from tests.cluster.objects import STORED, calico
from tests.cluster.server import ADMIN, Cluster, collection_of
from tests.lab.network import namespace
from tests.lab.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.cluster.server import Admin


@pytest.fixture
def bare(cluster: Cluster, tmp_path: Path) -> Iterator[Cluster]:
    """A control plane of its own, without any CRD."""
    with namespace() as space:
        running = Cluster(space, tmp_path)
        try:
            running.start()
            yield running
        finally:
            running.stop()


def test_nothing_then_what_calico_stores_then_what_it_serves(bare: Cluster) -> None:
    old = calico("HostEndpoint", "of-before", {"node": NODE, "interfaceName": "eth0"})
    with bare.admin() as admin, following(bare, ADMIN, write_status=False) as follower:
        follower.store = Store.of([Text("kubernetes/hostendpoints.projectcalico.org/of-before", json.dumps(old))])
        follower.until(lambda it: it.complete)
        assert follower.last.connected
        assert names_of(follower.resources, "namespaces") >= {"default", "kube-system"}
        # A cluster that has lost its CRDs does not say that there are no host endpoints.
        assert names_of(follower.resources, "hostEndpoints") == {"of-before"}
        assert "serves no host endpoints" in follower.last.trouble

        for definition in documents("crds.yaml"):
            admin.create(_stored(definition))
        policy = calico("GlobalNetworkPolicy", "default.web", {"selector": "all()"}, version=STORED)
        tier = calico("Tier", "t", {"order": 1}, version=STORED)
        for one in (policy, tier):
            _create_when_served(admin, one)
        follower.until_names("globalNetworkPolicies", {"web"})
        follower.until_names("tiers", {"t"})
        follower.until_names("hostEndpoints", set())
        follower.until(lambda it: not it.last.trouble)
        assert not [delivery for delivery in follower.deliveries if not delivery.connected and delivery.texts]
        admin.delete(policy)
        follower.until_names("globalNetworkPolicies", set())

    for definition in documents("crds.yaml"):
        with bare.admin() as admin:
            admin.create(definition)
    with bare.admin() as admin:
        for kind in KINDS:
            path = kind.path(kind.versions[0])
            wait_until(lambda path=path: admin.ask("GET", path).is_good, what=path)
        admin.create(calico("Tier", "t2"))
        with following(bare, ADMIN) as follower:  # both are served, and the better one is followed
            follower.until(lambda it: it.complete)
            assert names_of(follower.resources, "tiers") == {"t2"}


def test_a_crd_that_is_removed(bare: Cluster) -> None:
    """Its objects are deleted first, and that is told; when it comes back, so do they."""
    (tiers,) = (it for it in documents("crds.yaml") if it["spec"]["names"]["kind"] == "Tier")
    tier = calico("Tier", "t")
    with bare.admin() as admin, following(bare, ADMIN, write_status=False) as follower:
        for definition in documents("crds.yaml"):
            admin.create(definition)
        _create_when_served(admin, tier)
        follower.until_names("tiers", {"t"})
        admin.delete(tiers)
        follower.until_names("tiers", set())
        path = collection_of(tier)
        wait_until(lambda: admin.ask("GET", path).status == HTTPStatus.NOT_FOUND, what="tiers are served no more")
        admin.create(tiers)
        _create_when_served(admin, tier)
        follower.until_names("tiers", {"t"})
        follower.until(lambda it: it.last.connected and not it.last.trouble)


def test_status_beside_a_host_endpoint_that_has_none(bare: Cluster) -> None:
    with bare.admin() as admin, following(bare, ADMIN) as follower:
        for definition in documents("crds.yaml"):
            admin.create(_stored(definition))
        for definition in documents("crd-status.yaml"):
            admin.create(definition)
        endpoint = calico("HostEndpoint", "hep-1", {"node": NODE, "interfaceName": "eth0"}, version=STORED)
        _create_when_served(admin, endpoint)
        follower.until_names("hostEndpoints", {"hep-1"})
        path = "/apis/pyxdp.io/v1/hostendpointstatuses/hep-1"
        wait_until(lambda: admin.ask("GET", path.rpartition("/")[0]).is_good)
        follower.source.report(AgentView(node=NODE, started_ns=0, synced=True, enforcing=False, degraded=("first",)))
        wait_until(lambda: admin.ask("GET", path).is_good, what="the status is there")
        written = admin.get(path)
        owner = admin.get(f"{collection_of(endpoint)}/hep-1")["metadata"]
        assert [it["uid"] for it in written["metadata"]["ownerReferences"]] == [owner["uid"]]
        assert _statuses(written) == {"Enforcing": "False", "ConntrackBypass": "Unknown", "Degraded": "True"}
        follower.source.report(AgentView(node=NODE, started_ns=0, synced=True, enforcing=False))
        wait_until(lambda: _statuses(admin.get(path))["Degraded"] == "False")


def _statuses(written: dict[str, Any]) -> dict[str, str]:
    return {it["type"]: it["status"] for it in written["status"]["conditions"]}


def _create_when_served(admin: Admin, written: dict[str, Any]) -> None:
    wait_until(lambda: admin.ask("GET", collection_of(written)).is_good, what=f"{written['kind']} is served")
    wait_until(lambda: admin.ask("POST", collection_of(written), written).is_good, what=f"{written['kind']} is created")


def _stored(definition: dict[str, Any]) -> dict[str, Any]:
    """Return the definition as Calico has it for what it stores: another group, no status, hardly a schema."""
    names = definition["spec"]["names"]
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
    group = "crd.projectcalico.org"
    return {
        "apiVersion": definition["apiVersion"],
        "kind": definition["kind"],
        "metadata": {"name": f"{names['plural']}.{group}"},
        "spec": {
            "group": group,
            "names": {key: value for key, value in names.items() if key != "shortNames"},
            "scope": definition["spec"]["scope"],
            "versions": [version],
        },
    }
