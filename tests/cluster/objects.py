"""Objects to create."""

from __future__ import annotations

from typing import Any

V3 = "projectcalico.org/v3"
STORED = "crd.projectcalico.org/v1"


def calico(
    kind: str, name: str, spec: dict[str, Any] | None = None, *, version: str = V3, namespace: str = "", **labels: str
) -> dict[str, Any]:
    """Return an object of a kind of Calico's."""
    metadata: dict[str, Any] = {"name": name, "labels": labels}
    if namespace:
        metadata["namespace"] = namespace
    return {"apiVersion": version, "kind": kind, "metadata": metadata, "spec": spec or {}}


def core(kind: str, name: str, *, namespace: str = "", **rest: Any) -> dict[str, Any]:
    """Return an object of Kubernetes."""
    metadata = {"name": name, **({"namespace": namespace} if namespace else {})}
    return {"apiVersion": "v1", "kind": kind, "metadata": metadata, **rest}


def pod(name: str, **spec: Any) -> dict[str, Any]:
    """Return a pod as somebody creates it: without addresses."""
    spec = {"containers": [{"name": "main", "image": "none"}], **spec}
    return core("Pod", name, namespace="default", spec=spec)


def gnp(name: str, selector: str = "all()", **spec: Any) -> dict[str, Any]:
    """Return a GlobalNetworkPolicy."""
    return calico("GlobalNetworkPolicy", name, {"selector": selector, "types": ["Ingress"], **spec})


def hep(name: str, node: str, **spec: Any) -> dict[str, Any]:
    """Return a HostEndpoint."""
    return calico("HostEndpoint", name, {"node": node, "interfaceName": "eth0", **spec})


def gns(name: str, *nets: str, **labels: str) -> dict[str, Any]:
    """Return a GlobalNetworkSet."""
    return calico("GlobalNetworkSet", name, {"nets": list(nets)}, **labels)
