"""Pods are network sets: their addresses, with the labels of workloads."""

from __future__ import annotations

import pytest

from pyxdp.manifest import loads
from tests.manifest.documents import text_of

RUNNING = {"phase": "Running", "podIPs": [{"ip": "10.1.2.3"}, {"ip": "fd00::5"}, {"ip": "no address"}, {}]}


def pod(status: object = None, **spec: object) -> dict[str, object]:
    metadata = {"name": "web-1", "namespace": "shop", "labels": {"app": "web"}, "unheardOf": 1}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec, "status": status or RUNNING}


def test_addresses_and_labels_of_a_workload() -> None:
    (found,) = loads(text_of(pod(serviceAccountName="seller", containers=[{"name": "x"}]))).resources.networkSets
    assert (found.metadata.namespace, found.metadata.name) == ("shop", "pod:web-1")
    assert found.metadata.labels == {
        "app": "web",
        "projectcalico.org/orchestrator": "k8s",
        "projectcalico.org/serviceaccount": "seller",
    }
    assert list(map(str, found.nets)) == ["10.1.2.3/32", "fd00::5/128"]


def test_service_account_is_default() -> None:
    (found,) = loads(text_of(pod())).resources.networkSets
    assert found.metadata.labels["projectcalico.org/serviceaccount"] == "default"


@pytest.mark.parametrize(
    "written",
    [
        pod(hostNetwork=True),
        pod({**RUNNING, "phase": "Succeeded"}),
        pod({**RUNNING, "phase": "Failed"}),
        pod({"phase": "Pending"}),
        pod({"podIPs": 7}),
        pod({"podIPs": [7]}),
    ],
)
def test_pods_without_an_address_of_their_own(written: object) -> None:
    (found,) = loads(text_of(written)).resources.networkSets
    assert list(found.nets) == []


def test_a_network_set_may_have_the_name_of_a_pod() -> None:
    named = {
        "apiVersion": "projectcalico.org/v3",
        "kind": "NetworkSet",
        "metadata": {"name": "web-1", "namespace": "shop"},
    }
    found = loads(text_of(pod()) + "\n---\n" + text_of(named)).resources.networkSets
    assert [one.metadata.name for one in found] == ["pod:web-1", "web-1"]
