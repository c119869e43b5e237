"""Random untracked policies that mean something, and packets at the edges of what they say.

``trials()`` draws packets for one scenario; each comes as a :class:`~tests.verdicts.table.Case` whose expectation is
the evaluator's, so that another engine is tested by ``engine.verdict(case).agrees_with(case)``. Policies use several
tiers, equal orders, Pass and Log, negations, overlapping sets and prefixes of both families. Everything drawn is valid
by the rules that manifests are held to; a tier that policies name need not exist.

Packets leave out what has no agreed meaning: ICMP over IPv6 and ICMPv6 over IPv4, and IPv6 packets whose "protocol" is
an extension header.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from hypothesis import note
from hypothesis import strategies as st

from pyxdp.model import (
    EndpointPort,
    FailsafePort,
    FelixConfiguration,
    GlobalNetworkPolicy,
    GlobalNetworkSet,
    HostEndpoint,
    Metadata,
    Namespace,
    NetworkSet,
    PolicyType,
    Resources,
    Tier,
)
from pyxdp.net import Interface
from tests.verdicts import vocabulary
from tests.verdicts.boundaries import packets
from tests.verdicts.engines import EvaluatorEngine
from tests.verdicts.random_rules import RULES
from tests.verdicts.table import Case, Expect, Scenario

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pyxdp.net import Packet

NODE: Final = "node1"
INTERFACE: Final = "eth0"
INTERFACES: Final = (Interface("lo", 1), Interface(INTERFACE, 2, tuple(vocabulary.HOST.values())))
_TIERS: Final = ("default", "kube-admin", "alpha", "beta", "no-such-tier")
_DIRECTIONS: Final = st.sampled_from(tuple(PolicyType))


@st.composite
def trials(draw: Callable[[st.SearchStrategy[Any]], Any], *, at_least: int = 4, at_most: int = 20) -> list[Case]:
    """Draw packets for one scenario, with what the evaluator says of them. A failing test prints the scenario too.

    Args:
        draw: from Hypothesis.
        at_least: number of packets.
        at_most: likewise.
    """
    scenario = draw(scenarios())
    note(scenario)
    aims = {direction: packets(scenario.resources, direction) for direction in PolicyType}
    directions = draw(st.lists(_DIRECTIONS, min_size=at_least, max_size=at_most))
    return [reference(scenario, direction, draw(aims[direction])) for direction in directions]


@st.composite
def scenarios(draw: Callable[[st.SearchStrategy[Any]], Any]) -> Scenario:
    """Draw a host with one governed interface, and everything that its policies speak of."""
    resources = Resources(
        hostEndpoints=(_host(draw(vocabulary.labels)), *draw(_named(_PEERS, ("peer-a", "peer-b")))),
        globalNetworkPolicies=draw(_named(_POLICIES, ("p", "p-a", "p.b", "q", "r"), at_least=2)),
        tiers=tuple(Tier(metadata=Metadata(name=name), order=draw(_ORDERS)) for name in ("alpha", "beta")),
        globalNetworkSets=draw(_named(_GLOBAL_SETS, ("set-a", "set-b", "set-c", "set-d"), at_least=2)),
        networkSets=draw(_named(_SETS, ("prod/set", "test/set"))),
        namespaces=(Namespace(metadata=Metadata(name="prod", labels={"env": "prod"})),),
        felixConfigurations=draw(_named(_CONFIGURATIONS, (f"node.{NODE}", "default", "node.other"))),
    )
    return Scenario("random", resources, NODE, INTERFACES)


def reference(scenario: Scenario, direction: PolicyType, packet: Packet) -> Case:
    """Make a case of a packet: what the evaluator says is expected."""
    question = Case(scenario, "random", INTERFACE, direction, packet, Expect.NO_MATCH, "none", ())
    answer = EvaluatorEngine().verdict(question)
    return Case(scenario, "random", INTERFACE, direction, packet, answer.verdict, answer.rule, answer.logs or ())


@st.composite
def _named(
    draw: Callable[[st.SearchStrategy[Any]], Any],
    resources: st.SearchStrategy[Any],
    names: Sequence[str],
    *,
    at_least: int = 0,
) -> tuple[Any, ...]:
    """Draw resources of different names, in order. A name may be ``namespace/name``."""
    chosen = draw(st.lists(st.sampled_from(names), min_size=at_least, unique=True))
    drawn = []
    for namespace, _, name in sorted(each.rpartition("/") for each in chosen):
        metadata = Metadata(name=name, namespace=namespace, labels=draw(vocabulary.labels))
        drawn.append(replace(draw(resources), metadata=metadata))
    return tuple(drawn)


def _host(labels: dict[str, str]) -> HostEndpoint:
    metadata = Metadata(name="host", labels={**labels, "hep": "host"})
    addresses = tuple(vocabulary.HOST.values())
    return HostEndpoint(metadata=metadata, node=NODE, interfaceName=INTERFACE, expectedIPs=addresses)


_NAMELESS: Final = st.just(Metadata(name=""))
_PREFIX: Final = st.one_of(vocabulary.NETWORKS[4], vocabulary.NETWORKS[6])
_PREFIXES: Final = st.lists(_PREFIX, min_size=1, max_size=5).map(tuple)
_TRANSPORT: Final = st.sampled_from(vocabulary.TRANSPORTS)

_PEERS: Final = st.builds(
    HostEndpoint,
    metadata=_NAMELESS,
    node=st.just("node2"),
    interfaceName=st.just("eth0"),
    expectedIPs=st.lists(_PREFIX.map(lambda net: net.network_address), max_size=2, unique=True).map(tuple),
    ports=st.lists(
        st.builds(EndpointPort, st.sampled_from(("web", "dns")), _TRANSPORT, vocabulary.edge_ports), max_size=3
    ).map(tuple),
)

_GLOBAL_SETS: Final = st.builds(GlobalNetworkSet, metadata=_NAMELESS, nets=_PREFIXES)

_SETS: Final = st.builds(NetworkSet, metadata=_NAMELESS, nets=_PREFIXES)

_FAILSAFES: Final = st.one_of(
    st.none(),
    st.lists(
        st.builds(FailsafePort, _TRANSPORT, st.just(0) | vocabulary.edge_ports, st.none() | _PREFIX), max_size=3
    ).map(tuple),
)

_CONFIGURATIONS: Final = st.builds(
    FelixConfiguration,
    metadata=_NAMELESS,
    failsafeInboundHostPorts=_FAILSAFES,
    failsafeOutboundHostPorts=_FAILSAFES,
)

_POLICIES: Final = st.builds(
    GlobalNetworkPolicy,
    metadata=_NAMELESS,
    tier=st.sampled_from(_TIERS),
    order=st.sampled_from((None, -1.0, 0.0, 0.5, 1.0, 1.0, 1.0)),
    selector=st.sampled_from(("has(hep)", "", "hep == 'host'", "hep == 'host' && role == 'a'", "role != 'b'")),
    types=st.sampled_from((*(tuple(PolicyType),) * 4, (PolicyType.INGRESS,), (PolicyType.EGRESS,))),
    ingress=RULES,
    egress=RULES,
    doNotTrack=st.just(value=True),
    applyOnForward=st.just(value=True),
)

_ORDERS: Final = st.sampled_from((None, 1.0, 2.0, 1_000_000.0, 2_000_000.0))
