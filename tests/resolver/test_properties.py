"""Properties of all resources: order does not matter, and the evaluator's second reading agrees."""

from __future__ import annotations

from dataclasses import fields, replace
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from pyxdp.evaluator import Direction as EvaluatorDirection
from pyxdp.evaluator import PolicyClass as EvaluatorClass
from pyxdp.evaluator import Verdict, evaluate_class
from pyxdp.model import (
    Action,
    EndpointPort,
    EntityRule,
    FelixConfiguration,
    GlobalNetworkPolicy,
    HostEndpoint,
    PolicyType,
    Profile,
    Resources,
    Rule,
)
from pyxdp.net import Packet, PortRange
from pyxdp.resolver import Direction, EffectiveRule, PolicyClass, PortMatch, Side, resolve
from tests.resolver.build import (
    ETH0,
    ETH1,
    LO,
    NODE,
    global_set,
    host,
    metadata,
    namespace,
    network_set,
    networks,
    proto,
    tier,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pyxdp.net import Address
    from pyxdp.resolver import AddressSet, EffectiveEndpoint

INTERFACES = (LO, ETH0, ETH1)
SELECTORS = st.sampled_from(
    ["", "all()", "a == '1'", "has(b)", "!has(a)", "a != '1'", "b in {'1', '2'} || has(a)", "!(has(a) && has(b))"]
)
NAMESPACE_SELECTORS = st.sampled_from(["", "", "", "all()", "global()", "a == '1'", "a != '1'"])
LABELS = st.dictionaries(st.sampled_from("ab"), st.sampled_from("12"))
NETS = st.sampled_from(["", "", "10.0.0.0/30", "10.0.0.2/32 10.0.1.0/24", "0.0.0.0/0", "fd00::/127", "::/0"])
PORTS = st.lists(st.sampled_from([PortRange(1, 2), PortRange(2, 2), "p", "q"]), max_size=2).map(tuple)
ADDRESSES = ["10.0.0.1", "10.0.0.2", "10.0.0.5", "10.0.1.1", "fd00::1", "fd00::2"]
ENTITIES = st.builds(
    EntityRule,
    nets=NETS.map(networks),
    notNets=NETS.map(networks),
    selector=SELECTORS,
    notSelector=SELECTORS,
    namespaceSelector=NAMESPACE_SELECTORS,
    ports=PORTS,
    notPorts=PORTS,
)
RULES = st.builds(
    Rule,
    action=st.sampled_from(Action),
    ipVersion=st.sampled_from([None, None, None, 4, 6]),
    protocol=st.sampled_from([None, proto("TCP"), proto("TCP"), proto(6), proto("UDP")]),
    notProtocol=st.sampled_from([None, None, None, proto("TCP")]),
    source=st.just(EntityRule()) | ENTITIES,
    destination=st.just(EntityRule()) | ENTITIES,
)
RULE_LISTS = st.lists(RULES, max_size=3).map(tuple)


@st.composite
def policies(draw: st.DrawFn, name: str) -> GlobalNetworkPolicy:
    untracked = draw(st.sampled_from([True, True, True, False]))
    return GlobalNetworkPolicy(
        metadata=metadata(name),
        tier=draw(st.sampled_from(["default", "default", "first", "missing"])),
        order=draw(st.sampled_from([None, 0.0, 1.0, -1.0])),
        selector=draw(SELECTORS),
        namespaceSelector=draw(st.sampled_from(["", "", "", "a != '1'", "all()"])),
        types=draw(st.sampled_from([(PolicyType.INGRESS,), (PolicyType.INGRESS, PolicyType.EGRESS)])),
        ingress=draw(RULE_LISTS),
        egress=draw(RULE_LISTS),
        doNotTrack=untracked,
        applyOnForward=untracked or draw(st.booleans()),
    )


@st.composite
def endpoints(draw: st.DrawFn, name: str) -> HostEndpoint:
    found = host(
        name,
        interface=draw(st.sampled_from(["eth0", "eth1", "*", ""])),
        ips=" ".join(draw(st.lists(st.sampled_from(ADDRESSES), min_size=1, max_size=2, unique=True))),
        labels=draw(LABELS),
        node=draw(st.sampled_from([NODE, NODE, "other"])),
        profiles=tuple(draw(st.permutations(["p", "q", "r"]))[: draw(st.integers(0, 2))]),
    )
    ports = st.builds(
        EndpointPort, st.sampled_from("pq"), st.sampled_from([proto("TCP"), proto("UDP")]), st.integers(1, 3)
    )
    return replace(found, ports=tuple(draw(st.lists(ports, max_size=2))))


@st.composite
def worlds(draw: st.DrawFn) -> Resources:
    nets = st.sampled_from(["10.0.0.0/29", "10.0.0.2/32 fd00::/126", "10.0.1.0/24", "fd00::2/128"])
    return Resources(
        hostEndpoints=(draw(endpoints("a")), draw(endpoints("a-b")), draw(endpoints("c"))),
        globalNetworkPolicies=tuple(draw(policies(name)) for name in ("p", "p-1", "q")),
        tiers=(tier("first", draw(st.sampled_from([0, 1_000_000, 2e6, None]))),),
        globalNetworkSets=(global_set("x", draw(nets), draw(LABELS)), global_set("y", draw(nets), draw(LABELS))),
        networkSets=(network_set("n", "x", draw(nets), draw(LABELS)), network_set("m", "x", draw(nets), draw(LABELS))),
        namespaces=(namespace("m", draw(LABELS)), namespace("n", draw(LABELS))),
        profiles=tuple(Profile(metadata=metadata(name), labelsToApply=draw(LABELS)) for name in "pq"),
        felixConfigurations=(FelixConfiguration(metadata=metadata("default"), failsafeInboundHostPorts=()),),
    )


# Neither port is a failsafe.
PACKETS = st.builds(
    Packet,
    protocol=st.sampled_from([6, 17]),
    source=st.sampled_from(ADDRESSES).map(ip_address),
    destination=st.sampled_from(ADDRESSES).map(ip_address),
    source_port=st.integers(1, 3),
    destination_port=st.integers(1, 3),
)


@settings(deadline=None)
@given(worlds(), st.randoms(use_true_random=False))
def test_order_of_resources_and_interfaces_does_not_matter(resources: Resources, random: Any) -> None:
    def shuffled(values: Iterable[Any]) -> tuple[Any, ...]:
        mixed = list(values)
        random.shuffle(mixed)
        return tuple(mixed)

    mixed = replace(resources, **{one.name: shuffled(getattr(resources, one.name)) for one in fields(resources)})
    assert resolve(mixed, NODE, shuffled(INTERFACES)) == resolve(resources, NODE, INTERFACES)


@settings(deadline=None)
@given(worlds())
def test_equal_address_set_ids_have_equal_members(resources: Resources) -> None:
    members: dict[str, tuple[Any, ...]] = {}
    for endpoint in resolve(resources, NODE, INTERFACES).endpoints:
        for one in address_sets(endpoint):
            assert members.setdefault(one.id, one.networks) == one.networks


def address_sets(endpoint: EffectiveEndpoint) -> Iterable[AddressSet]:
    for tiers in endpoint.tiers.values():
        for rule in (rule for one in tiers for applying in one.policies for rule in applying.rules):
            for side in (rule.source, rule.destination):
                yield from (*side.sets, *side.notSets)


@settings(max_examples=150, deadline=None)
@given(worlds(), PACKETS, st.sampled_from(["eth0", "eth1"]), st.sampled_from(Direction))
def test_evaluator_agrees(resources: Resources, packet: Packet, interface: str, direction: Direction) -> None:
    assume(packet.source.version == packet.destination.version)
    expected = evaluate_class(
        resources,
        node=NODE,
        interfaces=INTERFACES,
        interface=interface,
        direction={Direction.INGRESS: EvaluatorDirection.INGRESS, Direction.EGRESS: EvaluatorDirection.EGRESS}[
            direction
        ],
        packet=packet,
        policy_class=EvaluatorClass.UNTRACKED,
    )
    found = [one for one in resolve(resources, NODE, INTERFACES).endpoints if one.interface.name == interface]
    verdict = {None: Verdict.NO_VERDICT, Action.ALLOW: Verdict.ALLOW, Action.DENY: Verdict.DENY}
    assert verdict[untracked_verdict(found[0], direction, packet) if found else None] is expected.verdict


def untracked_verdict(endpoint: EffectiveEndpoint, direction: Direction, packet: Packet) -> Action | None:
    for one in endpoint.tiers.get((PolicyClass.UNTRACKED, direction), ()):
        rules = (rule for applying in one.policies for rule in applying.rules)
        actions = (rule.action for rule in rules if rule.action is not Action.LOG and matches(rule, packet))
        decided = next(actions, one.defaultAction)
        if decided is not Action.PASS:
            return decided
    return None


def matches(rule: EffectiveRule, packet: Packet) -> bool:
    return (
        packet.family in rule.families
        and (rule.protocol is None or rule.protocol.number == packet.protocol)
        and (rule.notProtocol is None or rule.notProtocol.number != packet.protocol)
        and side_matches(rule.source, packet.source, packet.source_port, packet.protocol)
        and side_matches(rule.destination, packet.destination, packet.destination_port, packet.protocol)
    )


def side_matches(side: Side, address: Address, port: int | None, protocol: int) -> bool:
    def inside(one: AddressSet) -> bool:
        return any(address in network for network in one.networks)

    def port_in(match: PortMatch) -> bool:
        named = any((one.address, one.protocol, one.port) == (address, protocol, port) for one in match.members)
        return named or any(port in ports for ports in match.ranges if port is not None)

    return (
        all(inside(one) for one in side.sets)
        and not any(inside(one) for one in side.notSets)
        and (side.ports is None or port_in(side.ports))
        and (side.notPorts is None or not port_in(side.notPorts))
    )
