"""Readers of the rules of policies and profiles (spec sections 1.9, 1.10, 8.2 and 8.3)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from pyxdp.manifest.names import annotation_map
from pyxdp.manifest.names import name as resource_name
from pyxdp.manifest.nodes import Scalar, describe, is_empty
from pyxdp.manifest.readers import each, integer, one_of, optional, pairs, text
from pyxdp.manifest.values import namespace_selector, port, protocol, selector, strict_network
from pyxdp.model import Action, EntityRule, IcmpMatch, PolicyType, Rule, ServiceAccountMatch, ServiceMatch
from pyxdp.net import PortRange, address_family
from pyxdp.net.values import ICMP, ICMPV6, PORT_PROTOCOLS

if TYPE_CHECKING:
    from pyxdp.manifest.place import Fields, Place, Reader
    from pyxdp.net import Network, Protocol
    from pyxdp.net.values import Family

MAX_RULES: Final = 1024
MAX_NETS: Final = 256
MAX_PORTS: Final = 50
MAX_HTTP: Final = 20
MAX_HTTP_PATH: Final = 1024
MAX_ICMP_TYPE: Final = 254
MAX_ICMP_CODE: Final = 255
TCP: Final = 6

#: IP version of a protocol, and its counterpart in the other.
_ICMP_FAMILIES: Final = {ICMP: (4, "ICMPv6"), ICMPV6: (6, "ICMP")}

_ACTION: Final = one_of(*Action)
_SERVICE_EXCLUDES: Final = ("selector", "notSelector", "namespaceSelector", "serviceAccounts", "nets", "notNets")


@dataclass(frozen=True, slots=True)
class RuleList:
    """The list that a rule stands in.

    Attributes:
        direction: of its packets.
        namespaced: its policy has a namespace, which a service match may leave out.
    """

    direction: PolicyType
    namespaced: bool

    @property
    def service_side(self) -> str:
        """The side of a rule that may be a service: the peer."""
        return "source" if self.direction is PolicyType.INGRESS else "destination"


@dataclass(frozen=True, slots=True)
class _Side:
    """``source`` or ``destination``, with the places that checks across fields need."""

    rule: EntityRule = field(default_factory=EntityRule)
    nets: tuple[tuple[Place, Network], ...] = ()
    ports: tuple[tuple[Place, PortRange | str], ...] = ()


def rules(fields: Fields, *, namespaced: bool) -> tuple[tuple[Rule, ...], tuple[Rule, ...]]:
    """Read ``ingress`` and ``egress``."""
    ingress = rule_reader(RuleList(PolicyType.INGRESS, namespaced))
    egress = rule_reader(RuleList(PolicyType.EGRESS, namespaced))
    return (
        fields.read("ingress", each(ingress, limit=MAX_RULES, over="policies"), ()),
        fields.read("egress", each(egress, limit=MAX_RULES, over="policies"), ()),
    )


def rule_reader(context: RuleList) -> Reader[Rule]:
    """Return a reader of the rules of a list."""

    def read(place: Place) -> Rule:
        with place.fields() as fields:
            source = _side(fields, "source", context)
            destination = _side(fields, "destination", context)
            rule = Rule(
                action=fields.require("action", _ACTION, Action.DENY, meaning="Allow, Deny, Log or Pass"),
                ipVersion=fields.read("ipVersion", _ip_version, None),
                protocol=fields.read("protocol", protocol, None),
                notProtocol=fields.read("notProtocol", protocol, None),
                icmp=fields.read("icmp", _icmp, None),
                notICMP=fields.read("notICMP", _icmp, None),
                source=source.rule,
                destination=destination.rule,
                annotations=fields.read("metadata", _rule_annotations, {}),
                http=fields.read("http", _http, default=False),
                origin=place.origin,
            )
        _check_protocol_family(fields, rule)
        _check_icmp(fields, rule)
        _check_http(fields, rule, context)
        _check_nets(fields, rule, [*source.nets, *destination.nets])
        _check_ports(fields, rule, [*source.ports, *destination.ports])
        return rule

    return read


def _ip_version(place: Place) -> Family | None:
    node = place.node
    versions: dict[str, Family] = {"4": 4, "6": 6}
    if isinstance(node, Scalar) and not node.quoted and node.text in versions:
        return versions[node.text]
    place.problem(f"must be 4 or 6, a number without quotes, not {describe(node)}")
    return None


def _icmp(place: Place) -> IcmpMatch:
    with place.fields() as fields:
        match = IcmpMatch(
            fields.read("type", integer(0, MAX_ICMP_TYPE), None),
            fields.read("code", integer(0, MAX_ICMP_CODE), None),
        )
    code = fields.place("code")
    if code and fields.place("type") is None:
        code.problem("a code needs a type: add the ICMP type that it belongs to")
    return match


def _rule_annotations(place: Place) -> dict[str, str]:
    with place.fields() as fields:
        return fields.read("annotations", annotation_map, {})


def _http(place: Place) -> bool:
    with place.fields() as fields:
        fields.read("methods", each(text, limit=MAX_HTTP), ())
        fields.read("paths", each(_http_path, limit=MAX_HTTP), ())
    return True


def _http_path(place: Place) -> bool:
    with place.fields() as fields:
        given = [path for path in (fields.place("exact"), fields.place("prefix")) if path]
    for path in given:
        if len(text(path) or "") > MAX_HTTP_PATH:
            path.problem(f"may have at most {MAX_HTTP_PATH:,} characters")
    if len(given) != 1 and not fields.broken:
        place.problem("needs either `exact` or `prefix`")
    return True


def _side(fields: Fields, side: str, context: RuleList) -> _Side:
    place = fields.place(side)
    if place is None:
        return _Side()
    with place.fields() as entity:
        nets = entity.read("nets", _NETS, [])
        not_nets = entity.read("notNets", _NOT_NETS, [])
        ports = entity.read("ports", _PORTS, [])
        not_ports = entity.read("notPorts", _PORTS, [])
        rule = EntityRule(
            nets=tuple(net for _, net in nets),
            notNets=tuple(net for _, net in not_nets),
            selector=entity.read("selector", selector, ""),
            notSelector=entity.read("notSelector", selector, ""),
            namespaceSelector=entity.read("namespaceSelector", namespace_selector, ""),
            ports=tuple(value for _, value in ports),
            notPorts=tuple(value for _, value in not_ports),
            serviceAccounts=entity.read("serviceAccounts", _service_accounts, None),
            services=entity.read("services", _service_reader(namespaced=context.namespaced), None),
        )
    _check_services(entity, side, context)
    return _Side(rule, (*nets, *not_nets), (*ports, *not_ports))


def _not_everything(place: Place) -> Network | None:
    network = strict_network(place)
    if network is not None and network.prefixlen == 0:
        place.problem(f"{network} is every address, and a rule that excludes every address matches nothing")
        return None
    return network


_NETS: Reader[list[tuple[Place, Network]]] = pairs(strict_network, limit=MAX_NETS)
_NOT_NETS: Reader[list[tuple[Place, Network]]] = pairs(_not_everything, limit=MAX_NETS)
_PORTS: Reader[list[tuple[Place, PortRange | str]]] = pairs(port, limit=MAX_PORTS)


def _service_accounts(place: Place) -> ServiceAccountMatch:
    with place.fields() as fields:
        return ServiceAccountMatch(fields.read("names", each(resource_name), ()), fields.read("selector", selector, ""))


def _service_reader(*, namespaced: bool) -> Reader[ServiceMatch]:
    def read(place: Place) -> ServiceMatch:
        with place.fields() as fields:
            service = fields.require("name", resource_name, "", meaning="the name of a Service")
            namespace = fields.read("namespace", optional(resource_name), "")
            if not namespaced and fields.place("namespace") is None and not fields.broken:
                fields.missing("namespace", "a cluster-scoped policy has no namespace of its own")
        return ServiceMatch(service, namespace)

    return read


def _check_services(entity: Fields, side: str, context: RuleList) -> None:
    services = entity.place("services")
    if services is None:
        return
    if side != context.service_side:
        direction = context.direction.value.lower()
        services.problem(f"an {direction} rule can match services only as its {context.service_side}")
    excluded = (*_SERVICE_EXCLUDES, "ports", "notPorts") if side == "destination" else _SERVICE_EXCLUDES
    for name in excluded:
        other = entity.place(name)
        if other and not is_empty(other.node):
            other.problem("can not be combined with `services`, which already says which addresses and ports")


def _check_protocol_family(fields: Fields, rule: Rule) -> None:
    if rule.ipVersion is None:
        return
    for name, value in (("protocol", rule.protocol), ("notProtocol", rule.notProtocol)):
        place = fields.place(name)
        wanted, other = _ICMP_FAMILIES.get(value.number, (None, "")) if value else (None, "")
        if place and wanted and wanted != rule.ipVersion:
            remedy = f"write {other}, or ipVersion {wanted}"
            place.problem(f"{value} is a protocol of IPv{wanted}, and ipVersion is {rule.ipVersion}: {remedy}")


def _check_icmp(fields: Fields, rule: Rule) -> None:
    icmp = fields.place("icmp")
    unknown = rule.protocol is None and fields.place("protocol") is not None
    if icmp and not unknown and (rule.protocol is None or rule.protocol.number not in (ICMP, ICMPV6)):
        icmp.problem("needs `protocol: ICMP` or `protocol: ICMPv6` beside it")


def _check_http(fields: Fields, rule: Rule, context: RuleList) -> None:
    http = fields.place("http")
    if http is None:
        return
    if context.direction is PolicyType.EGRESS:
        http.problem("is only allowed in ingress rules")
    if rule.action is not Action.ALLOW and fields.place("action"):
        http.problem(f"is only allowed with `action: Allow`, not {rule.action.value}")
    if rule.protocol is not None and rule.protocol.number != TCP:
        http.problem(f"needs `protocol: TCP` or no protocol, not {rule.protocol}")


def _check_nets(fields: Fields, rule: Rule, nets: list[tuple[Place, Network]]) -> None:
    """One rule is of one IP version, wherever its prefixes stand."""
    if rule.ipVersion is None and fields.place("ipVersion") is not None:
        return
    family = rule.ipVersion or (address_family(nets[0][1]) if nets else None)
    because = f"ipVersion is {family}" if rule.ipVersion else f"the rule already has IPv{family} prefixes"
    for place, net in nets:
        if address_family(net) != family:
            place.problem(f"is IPv{net.version}, and {because}: write one rule for each IP version")


def _check_ports(fields: Fields, rule: Rule, ports: list[tuple[Place, PortRange | str]]) -> None:
    place = fields.place("protocol")
    if place is None:
        for port_place, value in ports:
            if isinstance(value, PortRange):
                port_place.problem("a port number needs a protocol: add `protocol: TCP` or another that has ports")
    elif rule.protocol is not None and not _has_ports(rule.protocol):
        for port_place, _ in ports:
            port_place.problem(f"protocol {rule.protocol} has no ports: use TCP, UDP, SCTP or UDPLite")


def _has_ports(value: Protocol) -> bool:
    return value.number in PORT_PROTOCOLS
