"""Objects of the API as texts, without what does not matter to policy.

A node sends a heartbeat every few seconds, a pod changes its status a dozen times before it serves. What is left here
of such objects changes when something changes for policy, and so nobody else is woken.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

CREATED_BY: Final = "projectcalico.org/created-by"
_STORED_METADATA: Final = "projectcalico.org/metadata"
_FINISHED: Final = frozenset({"Succeeded", "Failed"})
#: Characters that JSON leaves as they are and YAML does not take.
_NOT_IN_YAML: Final = re.compile("[\x7f-\x9f\u2028\u2029\ud800-\udfff\ufeff\ufffe\uffff]")


def text_of(kind: str, version: str, written: Mapping[str, Any]) -> str | None:
    """Return an object of the API as a document, or ``None`` for one that says nothing.

    Args:
        kind: of the object; items of lists do not say it.
        version: its apiVersion.
        written: the object as the server sends it.
    """
    reduced = _REDUCTIONS.get(kind, _calico)(written)
    return None if reduced is None else _document({"apiVersion": version, "kind": kind, **reduced})


def host_endpoint_of_node(node: Mapping[str, Any], version: str) -> str:
    """Return the host endpoint that Calico's controllers would make of a Node: every interface, allowed by default.

    Spec section 6.1; the addresses that only Calico's own networks have are not known here.
    """
    metadata = _metadata(node)
    name, labels = metadata["name"], {**metadata.get("labels", {}), CREATED_BY: "pyxdp"}
    addresses = [entry["address"] for entry in _addresses(node) if entry["type"] == "InternalIP"]
    spec = {
        "node": name,
        "interfaceName": "*",
        "expectedIPs": list(dict.fromkeys(addresses)),
        "profiles": ["projectcalico-default-allow"],
    }
    metadata = {"name": f"{name}-auto-hep", "labels": labels}
    return _document({"apiVersion": version, "kind": "HostEndpoint", "metadata": metadata, "spec": spec})


def _document(value: Mapping[str, Any]) -> str:
    """Write JSON that every YAML parser reads; an item of a list a line, which the reader of long lists knows."""
    text = json.dumps(value, indent=1, ensure_ascii=False)
    return _NOT_IN_YAML.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def _calico(written: Mapping[str, Any]) -> dict[str, Any]:
    metadata = _metadata(written)
    stored = (written["metadata"].get("annotations") or {}).get(_STORED_METADATA)
    if stored is not None:
        metadata["annotations"] = {_STORED_METADATA: stored}
    return {"metadata": metadata, "spec": written.get("spec") or {}}


def _namespace(written: Mapping[str, Any]) -> dict[str, Any]:
    return {"metadata": _metadata(written)}


def _node(written: Mapping[str, Any]) -> dict[str, Any]:
    return {"metadata": _metadata(written), "status": {"addresses": _addresses(written)}}


def _addresses(node: Mapping[str, Any]) -> list[dict[str, str]]:
    listed = (node.get("status") or {}).get("addresses") or ()
    return [{"type": str(entry.get("type")), "address": str(entry.get("address"))} for entry in listed]


def _pod(written: Mapping[str, Any]) -> dict[str, Any] | None:
    """Keep what selectors see of a workload endpoint (spec section 7.4), if the pod has addresses of its own."""
    spec, status = written.get("spec") or {}, written.get("status") or {}
    if spec.get("hostNetwork") or status.get("phase") in _FINISHED:
        return None
    addresses = sorted({entry["ip"] for entry in status.get("podIPs") or () if entry.get("ip")})
    if not addresses:
        return None
    return {
        "metadata": _metadata(written),
        "spec": {"serviceAccountName": spec.get("serviceAccountName") or "default"},
        "status": {"podIPs": [{"ip": address} for address in addresses]},
    }


def _metadata(written: Mapping[str, Any]) -> dict[str, Any]:
    given = written["metadata"]
    found = {name: given[name] for name in ("name", "namespace", "labels") if given.get(name)}
    if "labels" in found:
        found["labels"] = dict(sorted(found["labels"].items()))
    return found


_REDUCTIONS: Final[Mapping[str, Callable[[Mapping[str, Any]], dict[str, Any] | None]]] = {
    "Node": _node,
    "Namespace": _namespace,
    "Pod": _pod,
}
