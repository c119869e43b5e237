"""Documents for the tests of the manifest layer."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from pyxdp.errors import ManifestError
from pyxdp.manifest import loads

if TYPE_CHECKING:
    from pyxdp.errors import Problem

V3 = "projectcalico.org/v3"
CRD = "crd.projectcalico.org/v1"

Document = dict[str, Any]


def document(kind: str, spec: Any = None, *, version: str = V3, **metadata: Any) -> Document:
    """Return a resource; its name is ``it`` unless metadata says otherwise."""
    found: Document = {"apiVersion": version, "kind": kind, "metadata": {"name": "it", **metadata}}
    return found if spec is None else {**found, "spec": spec}


def gnp(**spec: Any) -> Document:
    return document("GlobalNetworkPolicy", spec)


def ingress(**rule: Any) -> Document:
    """Return a policy with one ingress rule."""
    return gnp(ingress=[{"action": "Allow", **rule}])


def egress(**rule: Any) -> Document:
    """Return a policy with one egress rule."""
    return gnp(egress=[{"action": "Allow", **rule}])


def hep(**spec: Any) -> Document:
    return document("HostEndpoint", spec)


def text_of(*documents: Any) -> str:
    """Return a file of the documents: JSON is YAML, and quotes what needs quotes."""
    return "\n---\n".join(json.dumps(each) for each in documents)


def problems_of(text: str, file: str = "test.yaml") -> list[Problem]:
    """Return what is wrong with a file."""
    try:
        loads(text, file=file)
    except ManifestError as error:
        return list(error.problems)
    return []


def complaints(*documents: Any) -> list[tuple[str, str]]:
    """Return path and message of what is wrong with documents."""
    return [(problem.path, problem.message) for problem in problems_of(text_of(*documents))]


def only(document: Document, collection: str) -> Any:
    """Return the one resource that a document makes."""
    (resource,) = getattr(loads(text_of(document)).resources, collection)
    return resource
