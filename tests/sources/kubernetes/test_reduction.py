"""Objects of the API become texts that the manifest reader takes, and change only when policy does."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyxdp.manifest import loads
from pyxdp.manifest.runs import find_runs
from pyxdp.sources.kubernetes.reduction import host_endpoint_of_node, text_of

NODE = {
    "metadata": {
        "name": "n",
        "labels": {"rack": "1"},
        "resourceVersion": "7",
        "managedFields": [{"manager": "kubelet"}],
        "annotations": {"note": "x"},
    },
    "status": {
        "addresses": [{"type": "InternalIP", "address": "192.0.2.1"}, {"type": "Hostname", "address": "n"}],
        "conditions": [{"type": "Ready", "lastHeartbeatTime": "now"}],
    },
}
SET = {
    "metadata": {
        "name": "s",
        "uid": "u",
        "labels": {"b": "2", "a": "1"},
        "annotations": {"kubectl.kubernetes.io/last-applied-configuration": "{}", "projectcalico.org/metadata": "{}"},
    },
    "spec": {"nets": ["10.0.0.0/8"]},
    "status": {"conditions": []},
}
VERSION = "projectcalico.org/v3"


def test_what_does_not_matter_is_gone() -> None:
    text = text_of("GlobalNetworkSet", VERSION, SET)
    assert json.loads(text or "") == {
        "apiVersion": VERSION,
        "kind": "GlobalNetworkSet",
        "metadata": {
            "name": "s",
            "labels": {"a": "1", "b": "2"},
            "annotations": {"projectcalico.org/metadata": "{}"},
        },
        "spec": {"nets": ["10.0.0.0/8"]},
    }
    other = {**SET, "metadata": {**SET["metadata"], "labels": {"a": "1", "b": "2"}, "generation": 9}, "status": {}}
    assert text_of("GlobalNetworkSet", VERSION, other) == text


def test_nodes() -> None:
    text = text_of("Node", "v1", NODE) or ""
    later = {**NODE, "status": {**NODE["status"], "conditions": []}}
    assert text_of("Node", "v1", later) == text
    (node,) = loads(text).resources.nodes
    assert [str(address) for address in node.addresses] == ["192.0.2.1"]
    assert node.metadata.labels == {"rack": "1"}


def test_a_node_that_kubernetes_does_not_know_yet() -> None:
    (node,) = loads(text_of("Node", "v1", {"metadata": {"name": "n"}}) or "").resources.nodes
    assert node.addresses == ()


def test_host_endpoint_of_a_node() -> None:
    (endpoint,) = loads(host_endpoint_of_node(NODE, VERSION)).resources.hostEndpoints
    assert endpoint.metadata.name == "n-auto-hep"
    assert endpoint.metadata.labels == {"rack": "1", "projectcalico.org/created-by": "pyxdp"}
    assert (endpoint.node, endpoint.interfaceName, endpoint.profiles) == ("n", "*", ("projectcalico-default-allow",))
    assert [str(address) for address in endpoint.expectedIPs] == ["192.0.2.1"]


@pytest.mark.parametrize(
    ("spec", "status", "addresses"),
    [
        ({}, {"podIPs": [{"ip": "10.0.0.2"}, {"ip": "10.0.0.1"}], "phase": "Running"}, ["10.0.0.1/32", "10.0.0.2/32"]),
        ({"hostNetwork": True}, {"podIPs": [{"ip": "10.0.0.1"}]}, None),
        ({}, {"podIPs": [{"ip": "10.0.0.1"}], "phase": "Failed"}, None),
        ({}, {"phase": "Pending"}, None),
        ({}, {}, None),
    ],
)
def test_pods(spec: dict[str, Any], status: dict[str, Any], addresses: list[str] | None) -> None:
    text = text_of("Pod", "v1", {"metadata": {"name": "p", "namespace": "d"}, "spec": spec, "status": status})
    if addresses is None:
        assert text is None
    else:
        (found,) = loads(text or "").resources.networkSets
        assert list(map(str, found.nets)) == addresses


@given(st.text())
def test_any_text_comes_through(value: str) -> None:
    """JSON leaves some characters as they are that YAML does not take, or reads otherwise."""
    written = {
        "metadata": {"name": "p"},
        "spec": {"ingress": [{"action": "Log", "metadata": {"annotations": {"a": value}}}]},
    }
    text = text_of("GlobalNetworkPolicy", VERSION, written) or ""
    (policy,) = loads(text).resources.globalNetworkPolicies
    assert policy.ingress[0].annotations == {"a": value}


def test_long_lists_are_written_as_the_reader_likes_them() -> None:
    nets = [f"10.{number // 256}.{number % 256}.0/24" for number in range(1000)]
    text = text_of("GlobalNetworkSet", VERSION, {"metadata": {"name": "s"}, "spec": {"nets": nets}}) or ""
    (found,) = find_runs(text)
    assert found.run.count >= len(nets) - 1
    assert len(loads(text).resources.globalNetworkSets[0].nets) == len(nets)
