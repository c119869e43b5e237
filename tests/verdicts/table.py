"""The table of (policy, packet, verdict), run on every engine.

``cases/*.yaml`` holds documents; each is a *scenario*: resources, and cases that are judged by them::

    name: ports                       # unique among all files
    resources:                        # Calico's resources
      - kind: GlobalNetworkPolicy
        metadata: {name: web}
        spec:
          ingress:
            - {action: Deny, protocol: TCP, destination: {ports: [80]}}
    node: node1                       # optional, as is everything from here to cases
    interfaces:
      - {name: eth0, addresses: [192.0.2.1, "2001:db8::1"]}
    stage: untracked                  # how far packets are followed: untracked (default), preDNAT or all
    packet: {protocol: TCP, dport: 80}   # what the packets of all cases have in common
    cases:
      - {name: port 80, packet: {src: 198.51.100.7}, expect: deny, rule: default/web/0}

Left out of resources for brevity: ``apiVersion``; in a GlobalNetworkPolicy ``selector: has(hep)`` and, where only the
untracked class is asked, unless ``doNotTrack`` is written, ``doNotTrack`` and ``applyOnForward``; the HostEndpoint
``host`` on eth0 of node1 with the label ``hep: host``, if the scenario has none on its node.

A case has ``name``, ``packet``, ``expect`` (``allow``, ``deny``, ``no-match``) and may have

``direction``
    ``ingress`` (default) or ``egress``.
``path``
    ``local`` (default) or ``forward``.
``ctstate``, ``originalDst``, ``originalDport``
    what connection tracking says, ``new`` by default; the destination before DNAT.
``stage``
    that of the scenario by default.
``interface``
    ``eth0`` by default.
``untracked``
    whether the packet leaves connection tracking; by default it does where only the untracked class is asked and
    allows it, and otherwise does not.
``rule``
    what decides: ``tier/policy/number`` with the rule's number in its list from 0 (``Profile/name/number``),
    ``failsafe``, ``end of tier NAME``, ``HostEndpoint/NAME`` for the end of all profiles and for the lack of forward
    policy, ``missing profile``, ``neighbour discovery``, ``connection`` for what connection tracking alone decides, or
    ``none`` (default). A case that expects ``allow`` or ``deny`` must name it.
``logs``
    Log rules that the packet meets, in order, as ``tier/policy/number``.

A packet has ``protocol`` (name or number), ``src``, ``dst``, ``sport``, ``dport``, ``icmp: {type, code}`` and
``fragment: later``. By default the other side is 198.51.100.7 and the host 192.0.2.1 (2001:db8:9::7 and 2001:db8::1 if
the given address is IPv6), ports are 40000 and 50000, and ICMP is an echo request.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path as FilePath
from typing import TYPE_CHECKING, Any

import yaml

from pyxdp import manifest
from pyxdp.evaluator import Conntrack, Context, Path
from pyxdp.model import PolicyType
from pyxdp.net import Interface, Packet
from pyxdp.net.values import PORT_PROTOCOLS, PROTOCOL_NUMBERS
from pyxdp.trial import Stage, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pyxdp.model import Resources
    from pyxdp.net import Address

CASES = FilePath(__file__).parent / "cases"
#: In C where there is one: every process that collects tests reads the table.
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

_KNOWN = (
    *("name", "packet", "expect", "direction", "path", "ctstate", "originalDst", "originalDport"),
    *("stage", "interface", "untracked", "rule", "logs"),
)

_HOST = {4: ip_address("192.0.2.1"), 6: ip_address("2001:db8::1")}
_OTHER = {4: ip_address("198.51.100.7"), 6: ip_address("2001:db8:9::7")}
_ECHO_REQUEST = {1: 8, 58: 128}
_HOST_ENDPOINT = {
    "kind": "HostEndpoint",
    "metadata": {"name": "host", "labels": {"hep": "host"}},
    "spec": {"node": "node1", "interfaceName": "eth0"},
}
_INTERFACES = ({"name": "eth0", "addresses": [str(address) for address in _HOST.values()]}, {"name": "lo"})


@dataclass(frozen=True, eq=False)
class Scenario:
    """Policy and host. Compared by identity: engines may keep what they made of it."""

    name: str
    resources: Resources
    node: str
    interfaces: tuple[Interface, ...]


@dataclass(frozen=True)
class Case:
    """One packet and what becomes of it."""

    scenario: Scenario = field(repr=False)
    name: str
    interface: str
    direction: PolicyType
    packet: Packet
    context: Context
    stage: Stage
    expect: Verdict
    untracked: bool
    rule: str
    logs: tuple[str, ...]

    @property
    def id(self) -> str:
        """What pytest calls it."""
        return f"{self.scenario.name}: {self.name}"


def load_table() -> list[Case]:
    """Read every case of every file."""
    cases = [case for path in sorted(CASES.glob("*.yaml")) for case in load_file(path)]
    ids = [case.id for case in cases]
    repeated = sorted({name for name in ids if ids.count(name) > 1})
    if repeated:
        message = f"cases of the same name: {', '.join(repeated)}"
        raise ValueError(message)
    return cases


def load_file(path: FilePath) -> Iterator[Case]:
    """Read the cases of one file."""
    for document in yaml.load_all(path.read_text(encoding="utf-8"), _LOADER):
        scenario = _scenario(document)
        for case in document["cases"]:
            yield _case(scenario, case, document.get("packet", {}), Stage(document.get("stage", "untracked")))


def _scenario(document: Mapping[str, Any]) -> Scenario:
    _only(document, "name", "resources", "node", "interfaces", "stage", "packet", "cases")
    untracked = document.get("stage", "untracked") == "untracked"
    resources = [_completed(resource, untracked=untracked) for resource in document["resources"]]
    node = document.get("node", "node1")
    if all(resource["kind"] != "HostEndpoint" or resource["spec"]["node"] != node for resource in resources):
        resources.append(_completed(_HOST_ENDPOINT, untracked=untracked))
    return Scenario(
        name=document["name"],
        resources=manifest.loads("\n---\n".join(map(json.dumps, resources))).resources,
        node=node,
        interfaces=tuple(
            _interface(index, written) for index, written in enumerate(document.get("interfaces", _INTERFACES), start=1)
        ),
    )


def _completed(resource: Mapping[str, Any], *, untracked: bool) -> dict[str, Any]:
    spec = dict(resource.get("spec", {}))
    if resource["kind"] == "GlobalNetworkPolicy":
        spec = {"selector": "has(hep)", **spec}
        if untracked and "doNotTrack" not in spec:
            spec |= {"doNotTrack": True, "applyOnForward": True}
    return {"apiVersion": "projectcalico.org/v3", **resource, "spec": spec}


def _interface(index: int, written: Mapping[str, Any]) -> Interface:
    _only(written, "name", "addresses")
    addresses = tuple(ip_address(address) for address in written.get("addresses", ()))
    return Interface(name=written["name"], index=index, addresses=addresses)


def _case(scenario: Scenario, written: Mapping[str, Any], shared: Mapping[str, Any], stage: Stage) -> Case:
    _only(written, *_KNOWN)
    direction = PolicyType(written.get("direction", "ingress").capitalize())
    expect = Verdict(written["expect"])
    if expect is not Verdict.NO_MATCH and "rule" not in written:
        message = f"{scenario.name}: {written['name']}: a rule decides, which one?"
        raise ValueError(message)
    stage = Stage(written.get("stage", stage))
    packet = packet_of({**shared, **written.get("packet", {})}, direction)
    leaves = stage is Stage.UNTRACKED and expect is Verdict.ALLOW and not packet.later_fragment
    return Case(
        scenario=scenario,
        name=written["name"],
        interface=written.get("interface", "eth0"),
        direction=direction,
        packet=packet,
        context=_context(written),
        stage=stage,
        expect=expect,
        untracked=written.get("untracked", leaves),
        rule=written.get("rule", "none"),
        logs=tuple(written.get("logs", ())),
    )


def _context(written: Mapping[str, Any]) -> Context:
    original = written.get("originalDst")
    return Context(
        path=Path(written.get("path", "local")),
        conntrack=Conntrack(written.get("ctstate", "new")),
        original_destination=ip_address(original) if original else None,
        original_destination_port=written.get("originalDport"),
    )


def packet_of(written: Mapping[str, Any], direction: PolicyType) -> Packet:
    """Make a packet of what a case gives, with defaults for the rest."""
    _only(written, "protocol", "src", "dst", "sport", "dport", "icmp", "fragment")
    source, destination = _addresses(written, direction)
    protocol = PROTOCOL_NUMBERS.get(written["protocol"], written["protocol"])
    if written.get("fragment") == "later":
        return Packet(protocol=protocol, source=source, destination=destination, later_fragment=True)
    has_ports = protocol in PORT_PROTOCOLS
    has_type = protocol in _ECHO_REQUEST
    icmp = written.get("icmp", {})
    return Packet(
        protocol=protocol,
        source=source,
        destination=destination,
        source_port=written.get("sport", 40000) if has_ports else None,
        destination_port=written.get("dport", 50000) if has_ports else None,
        icmp_type=icmp.get("type", _ECHO_REQUEST[protocol]) if has_type else None,
        icmp_code=icmp.get("code", 0) if has_type else None,
    )


def _addresses(written: Mapping[str, Any], direction: PolicyType) -> tuple[Address, Address]:
    given = [ip_address(written[key]) for key in ("src", "dst") if key in written]
    family = given[0].version if given else 4
    defaults = (_OTHER[family], _HOST[family])
    source, destination = defaults if direction is PolicyType.INGRESS else defaults[::-1]
    return ip_address(written.get("src", source)), ip_address(written.get("dst", destination))


def _only(written: Mapping[str, Any], *known: str) -> None:
    unknown = written.keys() - set(known)
    if unknown:
        message = f"{written.get('name', written)}: unknown: {', '.join(sorted(unknown))}"
        raise ValueError(message)
