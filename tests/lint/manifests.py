"""Short manifests."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pyxdp
from pyxdp.lint import lint

if TYPE_CHECKING:
    from pyxdp.lint import Finding

VERSION = "projectcalico.org/v3"
ALLOW = {"action": "Allow"}
DENY = {"action": "Deny"}


def document(kind: str, name: str, spec: dict[str, Any], **metadata: Any) -> str:
    return json.dumps({"apiVersion": VERSION, "kind": kind, "metadata": {"name": name, **metadata}, "spec": spec})


def hep(name: str = "host", **spec: Any) -> str:
    """A host endpoint with addresses of both families and its name as label ``is``."""
    given = {"node": "n", "interfaceName": "eth0", "expectedIPs": ["192.0.2.1", "2001:db8::1"], **spec}
    return document("HostEndpoint", name, {key: it for key, it in given.items() if it}, labels={"is": name})


def policy(name: str = "p", *, annotations: dict[str, str] | None = None, **spec: Any) -> str:
    return document("GlobalNetworkPolicy", name, {"selector": "all()", **spec}, annotations=annotations or {})


def untracked(name: str = "u", **spec: Any) -> str:
    return policy(name, doNotTrack=True, applyOnForward=True, **spec)


def pre_dnat(name: str = "d", **spec: Any) -> str:
    return policy(name, preDNAT=True, applyOnForward=True, **spec)


def felix(
    inbound: list[dict[str, Any]] | None = None, outbound: list[dict[str, Any]] | None = None, **more: Any
) -> str:
    """A FelixConfiguration, by default without failsafe ports."""
    spec = {"failsafeInboundHostPorts": inbound or [], "failsafeOutboundHostPorts": outbound or []}
    return document("FelixConfiguration", "default", spec, **more)


def rule(action: str = "Allow", protocol: str = "TCP", **sides: Any) -> dict[str, Any]:
    """A rule; ``to`` and ``of`` are ports, ``source`` and ``destination`` whatever else."""
    source, destination = sides.pop("source", {}), sides.pop("destination", {})
    if "to" in sides:
        destination = {**destination, "ports": _ports(sides.pop("to"))}
    if "of" in sides:
        source = {**source, "ports": _ports(sides.pop("of"))}
    return {"action": action, "protocol": protocol, "source": source, "destination": destination, **sides}


def _ports(written: Any) -> list[Any]:
    return written if isinstance(written, list) else [written]


def findings(*documents: str) -> list[Finding]:
    """What lint says; each document is on a line of its own, so a finding's line tells which."""
    return list(lint(pyxdp.loads("\n---\n".join(documents)).resources))


def codes(*documents: str) -> list[str]:
    return [finding.code.value for finding in findings(*documents)]
