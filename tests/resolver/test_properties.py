"""Properties of all resources: order does not matter, and the evaluator's second reading agrees."""

from __future__ import annotations

from dataclasses import fields, replace
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyxdp.evaluator import Direction as EvaluatorDirection
from pyxdp.evaluator import PolicyClass as EvaluatorClass
from pyxdp.evaluator import Verdict, evaluate_class
from pyxdp.model import (
    Action,
    EndpointPort,
    EntityRule,
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
    policy,
    proto,
    tier,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pyxdp.net import Address, Protocol
    from pyxdp.resolver import AddressSet, EffectiveEndpoint, EffectivePolicy

INTERFACES = (LO, ETH0, ETH1)
ADDRESSES = ["10.0.0.1", "10.0.0.2", "10.0.0.5", "10.0.1.1", "fd00::1", "fd00::2"]
FAMILIES = [[ip_address(one) for one in ADDRESSES if (":" in one) is six] for six in (False, True)]
# No port is a failsafe.
PACKETS = [
    Packet(protocol=protocol, source=source, destination=destination, source_port=ports[0], destination_port=ports[1])
    for addresses in FAMILIES
    for source in addresses
    for destination in addresses
    for protocol in (6, 17)
    for ports in ((1, 2), (2, 3))
]

LABELS = st.dictionaries(st.sampled_from("ab"), st.sampled_from("12"))
SELECTORS = st.sampled_from(
    ["all()", "a == '1'", "has(b)", "!has(a)", "a != '1'", "b in {'1', '2'} || has(a)", "!(has(a) && has(b))"]
)
NETS = [networks(one) for one in ("10.0.0.0/30", "10.0.0.2/32 10.0.1.0/24", "0.0.0.0/0", "fd00::/127", "::/0")]
PORTS = [(PortRange(1, 2),), (PortRange(2, 2), "p"), ("p",), ("p", "q")]
MATCHES: dict[str, list[Any]] = {
    "nets": NETS,
    "notNets": NETS,
    "selector": ["all()", "a == '1'", "!has(a)", "has(b)"],
    "notSelector": ["all()", "a == '1'", "!has(a)", "has(b)"],
    "namespaceSelector": ["all()", "global()", "a == '1'", "a != '1'"],
    "ports": PORTS,
    "notPorts": PORTS,
}


@st.composite
def entities(draw: st.DrawFn) -> EntityRule:
    """Of the many things that an entity can ask, ask two at most: otherwise hardly anything ever matches."""
    asked = draw(st.lists(st.sampled_from(sorted(MATCHES)), max_size=2, unique=True))
    return EntityRule(**{name: draw(st.sampled_from(MATCHES[name])) for name in asked})


RULES = st.builds(
    Rule,
    action=st.sampled_from(Action),
    ipVersion=st.sampled_from([None, None, None, 4, 6]),
    protocol=st.sampled_from([None, None, proto("TCP"), proto(6), proto("UDP")]),
    notProtocol=st.sampled_from([None, None, None, proto("TCP")]),
    source=st.just(EntityRule()) | entities(),
    destination=st.just(EntityRule()) | entities(),
)
PLAIN_RULES = st.builds(
    Rule, action=st.sampled_from(Action), protocol=st.sampled_from([None, proto("TCP"), proto("UDP")])
)


@st.composite
def policies(draw: st.DrawFn, name: str, rules: st.SearchStrategy[Rule]) -> GlobalNetworkPolicy:
    lists = st.lists(rules, min_size=1, max_size=3).map(tuple)
    untracked = draw(st.sampled_from([True, True, True, False]))
    return GlobalNetworkPolicy(
        metadata=metadata(name),
        tier=draw(st.sampled_from(["default", "default", "first", "absent"])),
        order=draw(st.sampled_from([None, 0.0, 1.0, -1.0])),
        selector=draw(st.just("") | SELECTORS),
        namespaceSelector=draw(st.sampled_from(["", "", "", "a != '1'", "all()"])),
        types=draw(st.sampled_from([(PolicyType.INGRESS,), (PolicyType.INGRESS, PolicyType.EGRESS)])),
        ingress=draw(lists),
        egress=draw(lists),
        doNotTrack=untracked,
        applyOnForward=untracked or draw(st.booleans()),
    )


@st.composite
def endpoints(draw: st.DrawFn, name: str, interfaces: tuple[str, ...] = ("eth0", "eth1", "*", "")) -> HostEndpoint:
    ports = st.builds(
        EndpointPort, st.sampled_from("pq"), st.sampled_from([proto("TCP"), proto("UDP")]), st.integers(1, 3)
    )
    return host(
        name,
        interface=draw(st.sampled_from(interfaces)),
        ips=" ".join(draw(st.lists(st.sampled_from(ADDRESSES), min_size=1, max_size=2, unique=True))),
        labels=draw(LABELS),
        node=draw(st.sampled_from([NODE, NODE, "other"])) if len(interfaces) > 1 else NODE,
        profiles=tuple(draw(st.permutations(["p", "q", "r"]))[: draw(st.integers(0, 2))]),
        ports=tuple(draw(st.lists(ports, max_size=2))),
    )


@st.composite
def worlds(draw: st.DrawFn, rules: st.SearchStrategy[Rule] = RULES, policy_count: int = 3) -> Resources:
    nets = st.sampled_from(["10.0.0.0/29", "10.0.0.2/32 fd00::/126", "10.0.1.0/24", "fd00::2/128"])
    return Resources(
        hostEndpoints=(draw(endpoints("a", ("eth0",))), draw(endpoints("a-b")), draw(endpoints("c"))),
        globalNetworkPolicies=tuple(draw(policies(name, rules)) for name in ("p", "p-1", "q", "r")[:policy_count]),
        tiers=(tier("first", draw(st.sampled_from([0, 1_000_000, 2e6, None]))),),
        globalNetworkSets=(global_set("x", draw(nets), draw(LABELS)), global_set("y", draw(nets), draw(LABELS))),
        networkSets=(network_set("n", "x", draw(nets), draw(LABELS)), network_set("m", "x", draw(nets), draw(LABELS))),
        namespaces=(namespace("m", draw(LABELS)), namespace("n", draw(LABELS))),
        profiles=tuple(Profile(metadata=metadata(name), labelsToApply=draw(LABELS)) for name in "pq"),
    )


@st.composite
def matching_worlds(draw: st.DrawFn) -> Resources:
    """Only one rule, that surely applies: what it matches is what counts."""
    only = policy("p", replace(draw(RULES), action=Action.ALLOW))
    return replace(draw(worlds(policy_count=0)), globalNetworkPolicies=(only,))


@settings(max_examples=50, deadline=None)
@given(worlds(), st.randoms(use_true_random=False))
def test_order_of_resources_and_interfaces_does_not_matter(resources: Resources, random: Any) -> None:
    def shuffled(values: Iterable[Any]) -> tuple[Any, ...]:
        mixed = list(values)
        random.shuffle(mixed)
        return tuple(mixed)

    mixed = replace(resources, **{one.name: shuffled(getattr(resources, one.name)) for one in fields(resources)})
    assert resolve(mixed, NODE, shuffled(INTERFACES)) == resolve(resources, NODE, INTERFACES)


@settings(max_examples=50, deadline=None)
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


WORLD = Resources(
    hostEndpoints=(
        host(
            "a",
            interface="eth0",
            ips="10.0.0.1 fd00::1",
            labels={"a": "1"},
            ports=(EndpointPort("p", proto("TCP"), 1),),
        ),
        host("b", node="other", ips="10.0.0.2", labels={"b": "1"}, ports=(EndpointPort("p", proto("UDP"), 2),)),
        host("c", node="other", ips="10.0.0.5 fd00::2", ports=(EndpointPort("q", proto("TCP"), 2),)),
    ),
    globalNetworkSets=(global_set("g", "10.0.0.0/31 fd00::2/128", {"a": "2", "b": "1"}),),
    networkSets=(network_set("m", "x", "10.0.1.0/24", {"a": "1"}), network_set("n", "x", "10.0.0.5/32 fd00::/127")),
    namespaces=(namespace("m", {"a": "1"}), namespace("n", {"a": "2"})),
)
SINGLE_MATCHES = [(name, value) for name, values in MATCHES.items() for value in values]


@pytest.mark.parametrize("protocol", [None, proto("TCP")], ids=str)
@pytest.mark.parametrize(("name", "value"), SINGLE_MATCHES, ids=lambda value: str(value)[:40])
def test_evaluator_agrees_on_every_pair_of_matches(name: str, value: Any, protocol: Protocol | None) -> None:
    """Each match of an entity alone and beside each other one, on the sender's side."""
    for entity in (EntityRule(**({name: value} | {other: with_it})) for other, with_it in SINGLE_MATCHES):
        only = policy("p", Rule(action=Action.ALLOW, protocol=protocol, source=entity))
        resources = replace(WORLD, globalNetworkPolicies=(only,))
        result = resolve(resources, NODE, INTERFACES)
        for packet in PACKETS[::3]:
            assert_evaluator_agrees(resources, result, "eth0", Direction.INGRESS, packet)


@settings(max_examples=150, deadline=None)
@given(matching_worlds())
def test_evaluator_agrees_what_a_rule_matches(resources: Resources) -> None:
    result = resolve(resources, NODE, INTERFACES)
    for packet in PACKETS:
        assert_evaluator_agrees(resources, result, "eth0", Direction.INGRESS, packet)


@settings(max_examples=100, deadline=None)
@given(worlds(PLAIN_RULES, policy_count=4), st.sampled_from(["eth0", "eth1", "lo"]), st.sampled_from(Direction))
def test_evaluator_agrees_in_which_order(resources: Resources, interface: str, direction: Direction) -> None:
    result = resolve(resources, NODE, INTERFACES)
    for packet in PACKETS[:4]:
        assert_evaluator_agrees(resources, result, interface, direction, packet)


def assert_evaluator_agrees(
    resources: Resources, result: EffectivePolicy, interface: str, direction: Direction, packet: Packet
) -> None:
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
    found = [one for one in result.endpoints if one.interface.name == interface]
    verdict = {None: Verdict.NO_VERDICT, Action.ALLOW: Verdict.ALLOW, Action.DENY: Verdict.DENY}
    assert verdict[untracked_verdict(found[0], direction, packet) if found else None] is expected.verdict, packet


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
