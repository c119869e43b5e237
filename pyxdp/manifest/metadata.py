"""Reader of ``metadata``."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pyxdp.manifest.names import annotation_map, dns_label, is_policy_name, label_map
from pyxdp.manifest.names import name as resource_name
from pyxdp.manifest.readers import optional
from pyxdp.model import Metadata

if TYPE_CHECKING:
    from pyxdp.manifest.place import Fields, Place, Reader
    from pyxdp.model import Origin

#: Written by the API server, never by people; accepted so that the output of ``kubectl get -o yaml`` is a manifest.
SERVER_MANAGED: Final = (
    "clusterName",
    "creationTimestamp",
    "deletionGracePeriodSeconds",
    "deletionTimestamp",
    "finalizers",
    "generation",
    "managedFields",
    "ownerReferences",
    "resourceVersion",
    "selfLink",
    "uid",
)

#: Where a stored CRD keeps the v3 metadata that Kubernetes has no place for.
STORED_METADATA: Final = "projectcalico.org/metadata"

_DEFAULT_PREFIX: Final = "default."


@dataclass(frozen=True, slots=True)
class Naming:
    """What the metadata of a kind may hold.

    Attributes:
        name: reader of its names.
        namespaced: it has a namespace; ``default`` when none is written, as in kubectl.
        reserved: a label that only Calico may set, or nothing.
        strict: unknown fields are problems.
    """

    name: Reader[str] = resource_name
    namespaced: bool = False
    reserved: str = ""
    strict: bool = True


def read_metadata(place: Place, naming: Naming, origin: Origin) -> Metadata:
    """Read the metadata of a resource that begins at ``origin``."""
    elsewhere = {} if naming.namespaced else {"namespace": "this kind is cluster-scoped: remove the namespace"}
    with place.fields(strict=naming.strict, elsewhere=elsewhere) as fields:
        fields.accept(*SERVER_MANAGED)
        return Metadata(
            name=_name(fields, naming.name),
            namespace=fields.read("namespace", optional(dns_label), "default") if naming.namespaced else "",
            labels=_labels(fields, naming.reserved),
            annotations=fields.read("annotations", annotation_map, {}),
            origin=origin,
        )


def stored_name(metadata: Metadata, tier: str) -> str:
    """Return the v3 name of a policy that is written as a stored CRD (``crd.projectcalico.org/v1``).

    Calico stores a policy ``x`` of the default tier as ``default.x`` and, since v3.30, the name that the author wrote
    in an annotation. Policies of other tiers carry their tier's name in both forms.
    """
    try:
        stored = json.loads(metadata.annotations.get(STORED_METADATA, "{}"))
    except (ValueError, RecursionError):
        stored = {}
    name = stored.get("name") if isinstance(stored, dict) else None
    if isinstance(name, str) and is_policy_name(name):
        return name
    return metadata.name.removeprefix(_DEFAULT_PREFIX) if tier == "default" else metadata.name


def _name(fields: Fields, name: Reader[str]) -> str:
    if fields.place("name") is None and fields.place("generateName"):
        fields.missing("name", "names are not generated here, so generateName alone is not enough")
        return ""
    fields.accept("generateName")
    return fields.require("name", name, "", meaning="a name that is unique among resources of this kind")


def _labels(fields: Fields, reserved: str) -> dict[str, str]:
    found = fields.read("labels", label_map, {})
    place = fields.place("labels")
    if place and reserved in found:
        place.child(reserved, place.fields(strict=False).entries[reserved][0]).problem("only Calico sets this label")
    return found
