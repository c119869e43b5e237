"""Resources as a manifest, and questions as cases of ``pyxdp test``: what a difference is written down in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any, Final

import yaml

from pyxdp import manifest
from pyxdp.errors import PyxdpError
from pyxdp.evaluator import Conntrack, Path
from pyxdp.model import Rule, StagedGlobalNetworkPolicy
from pyxdp.net import PortRange, Protocol
from pyxdp.net.prefixes import Prefixes

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pyxdp.model import Resources
    from pyxdp.model.resources import Resource
    from pyxdp.net import Packet
    from tests.verdicts.boundaries import Question

#: Fields that are written even where their value is the default: what is not written is worked out otherwise.
_ALWAYS: Final = frozenset({"types", "order"})
#: Fields that are no part of a document.
_NEVER: Final = frozenset({"metadata", "origin", "ignored", "annotations", "http"})


def write_resources(resources: Resources) -> str:
    """Return a manifest that reads as these resources."""
    return yaml.safe_dump_all([_document(resource) for resource in resources], sort_keys=False)


def is_valid(resources: Resources) -> bool:
    """Tell whether a manifest can say this."""
    try:
        return manifest.loads(write_resources(resources)).resources == resources
    except PyxdpError:
        return False


def write_cases(cases: Iterable[Mapping[str, Any]]) -> str:
    """Return a file for ``pyxdp test``."""
    return yaml.safe_dump({"cases": list(cases)}, sort_keys=False)


def case_of(question: Question, *, endpoint: str, expect: str, untracked: bool) -> dict[str, Any]:
    """Return a question as a case.

    Args:
        question: the packet.
        endpoint: name of the host endpoint that governs its interface.
        expect: ``allow``, ``deny`` or ``no-match``.
        untracked: whether it leaves connection tracking.
    """
    context = question.context
    circumstances = {
        "ctstate": context.conntrack.value if context.conntrack is not Conntrack.NEW else None,
        "originalDst": str(context.original_destination) if context.original_destination else None,
        "originalDport": context.original_destination_port,
    }
    case = {
        "name": f"{question.direction.value} on {question.interface}",
        "endpoint": endpoint,
        "direction": question.direction.value.lower(),
        "path": context.path.value if context.path is not Path.LOCAL else None,
        "packet": _packet(question.packet) | _given(circumstances),
        "expect": expect,
        "untracked": untracked,
    }
    return _given(case)


def _packet(packet: Packet) -> dict[str, Any]:
    icmp = {"type": packet.icmp_type, "code": packet.icmp_code} if packet.icmp_type is not None else None
    return _given(
        {
            "protocol": packet.protocol,
            "src": str(packet.source),
            "dst": str(packet.destination),
            "sport": packet.source_port,
            "dport": packet.destination_port,
            "icmp": icmp,
            "fragment": "later" if packet.later_fragment else None,
        }
    )


def _given(entries: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in entries.items() if value is not None}


def _document(resource: Resource) -> dict[str, Any]:
    kind = type(resource).__name__
    spec = _record(resource.policy) if isinstance(resource, StagedGlobalNetworkPolicy) else _record(resource)
    if isinstance(resource, StagedGlobalNetworkPolicy):
        spec["stagedAction"] = resource.stagedAction
    metadata = resource.metadata
    named = {"name": metadata.name, "namespace": metadata.namespace, "labels": dict(metadata.labels)}
    return {
        "apiVersion": "v1" if kind in ("Namespace", "Node") else "projectcalico.org/v3",
        "kind": kind,
        "metadata": {key: value for key, value in named.items() if value},
        **({"spec": spec} if spec else {}),
    }


def _record(value: Any) -> dict[str, Any]:
    given = {
        field.name: _plain(getattr(value, field.name), field.name)
        for field in fields(value)
        if field.name not in _NEVER
        and (getattr(value, field.name) != field.default or (field.name in _ALWAYS and not isinstance(value, Rule)))
    }
    if isinstance(value, Rule) and value.http:
        given["http"] = {"methods": ["GET"]}
    return {name: one for name, one in given.items() if one is not None and (one != {} or name in ("icmp", "notICMP"))}


def _plain(value: Any, name: str = "") -> Any:
    """Return what YAML has for a value of a model."""
    if name == "interfacePrefix":
        return ",".join(value)
    if isinstance(value, tuple | Prefixes):
        return [_plain(entry) for entry in value]
    if is_dataclass(value) and not isinstance(value, Protocol | PortRange):
        return _record(value)
    return _scalar(value)


def _scalar(value: Any) -> Any:
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Protocol):
        return value.name or value.number
    if isinstance(value, PortRange):
        return value.first if value.first == value.last else str(value)
    if isinstance(value, Mapping):
        return dict(value)
    return value if isinstance(value, str | int | float | None) else str(value)
