"""Random untracked policies that mean something, and packets at the edges of what they say.

``trials()`` draws packets for one scenario; each comes as a :class:`~tests.verdicts.table.Case` whose expectation is
the evaluator's, so that another engine is tested by ``engine.verdict(case).agrees_with(case)``. Policies use several
tiers, equal orders, Pass and Log, negations, overlapping sets and prefixes of both families. Everything drawn is valid
by the rules that manifests are held to.

Packets leave out what has no agreed meaning: ICMP over IPv6 and ICMPv6 over IPv4, and IPv6 packets whose "protocol" is
an extension header.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

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
    from collections.abc import Callable

    from pyxdp.net import Packet

NODE: Final = "node1"
INTERFACE: Final = "eth0"
_INTERFACES: Final = (Interface("lo", 1), Interface(INTERFACE, 2, tuple(vocabulary.HOST.values())))
_TIERS: Final = ("default", "kube-admin", "alpha", "beta", "no-such-tier")
_DIRECTIONS: Final = st.sampled_from(tuple(PolicyType))


@st.composite
def trials(draw: Callable[[st.SearchStrategy[Any]], Any], *, at_most: int = 20) -> list[Case]:
    """Draw packets for one scenario, with what the evaluator says of them.

    Args:
        draw: from Hypothesis.
        at_most: number of packets.
    """
    scenario = draw(SCENARIOS)
    aims = {direction: packets(scenario.resources, direction) for direction in PolicyType}
    directions = draw(st.lists(_DIRECTIONS, min_size=4, max_size=at_most))
    return [reference(scenario, direction, draw(aims[direction])) for direction in directions]


def reference(scenario: Scenario, direction: PolicyType, packet: Packet) -> Case:
    """Make a case of a packet: what the evaluator says is expected."""
    question = Case(scenario, "random", INTERFACE, direction, packet, Expect.NO_MATCH, "none", ())
    answer = EvaluatorEngine().verdict(question)
    return Case(scenario, "random", INTERFACE, direction, packet, answer.verdict, answer.rule, answer.logs or ())


def _metadata(names: st.SearchStrategy[str] | str, namespace: str = "") -> st.SearchStrategy[Metadata]:
    names = st.just(names) if isinstance(names, str) else names
    return st.builds(Metadata, name=names, namespace=st.just(namespace), labels=vocabulary.labels)


def _unique(
    resources: st.SearchStrategy[Any], *, at_least: int = 0, at_most: int
) -> st.SearchStrategy[tuple[Any, ...]]:
    """Tuples of resources of different names, in order."""
    drawn = st.lists(resources, min_size=at_least, max_size=at_most, unique_by=_identity)
    return drawn.map(lambda each: tuple(sorted(each, key=_identity)))


def _identity(resource: Any) -> tuple[str, str]:
    return resource.metadata.namespace, resource.metadata.name


def _host(labels: dict[str, str]) -> HostEndpoint:
    metadata = Metadata(name="host", labels={**labels, "hep": "host"})
    return HostEndpoint(
        metadata=metadata, node=NODE, interfaceName=INTERFACE, expectedIPs=tuple(vocabulary.HOST.values())
    )


_PREFIX: Final = st.one_of(vocabulary.NETWORKS[4], vocabulary.NETWORKS[6])
_PREFIXES: Final = st.lists(_PREFIX, min_size=1, max_size=5).map(tuple)
_TRANSPORT: Final = st.sampled_from(vocabulary.TRANSPORTS)

_PEERS: Final = st.builds(
    HostEndpoint,
    metadata=_metadata(st.sampled_from(("peer-a", "peer-b", "peer-c"))),
    node=st.just("node2"),
    interfaceName=st.just("eth0"),
    expectedIPs=st.lists(_PREFIX.map(lambda net: net.network_address), max_size=2, unique=True).map(tuple),
    ports=st.lists(
        st.builds(EndpointPort, st.sampled_from(("web", "dns")), _TRANSPORT, vocabulary.edge_ports), max_size=3
    ).map(tuple),
)

_GLOBAL_SETS: Final = st.builds(
    GlobalNetworkSet, metadata=_metadata(st.sampled_from(("set-a", "set-b", "set-c", "set-d"))), nets=_PREFIXES
)

_SETS: Final = st.builds(
    NetworkSet, metadata=st.one_of(_metadata("set", "prod"), _metadata("set", "test")), nets=_PREFIXES
)

_FAILSAFES: Final = st.one_of(
    st.none(),
    st.lists(
        st.builds(FailsafePort, _TRANSPORT, st.just(0) | vocabulary.edge_ports, st.none() | _PREFIX), max_size=3
    ).map(tuple),
)

_CONFIGURATIONS: Final = st.builds(
    FelixConfiguration,
    metadata=st.builds(Metadata, name=st.sampled_from((f"node.{NODE}", "default", "node.other"))),
    failsafeInboundHostPorts=_FAILSAFES,
    failsafeOutboundHostPorts=_FAILSAFES,
)

_POLICIES: Final = st.builds(
    GlobalNetworkPolicy,
    metadata=st.builds(Metadata, name=st.sampled_from(("p", "p-a", "p.b", "q", "r", "s"))),
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


def _tier(name: str) -> st.SearchStrategy[Tier]:
    return st.builds(Tier, metadata=st.just(Metadata(name=name)), order=_ORDERS)


#: A host with one governed interface, and everything that its policies speak of.
SCENARIOS: Final = st.builds(
    Resources,
    hostEndpoints=st.builds(
        lambda host, peers: (host, *peers), vocabulary.labels.map(_host), _unique(_PEERS, at_most=3)
    ),
    globalNetworkPolicies=_unique(_POLICIES, at_least=2, at_most=5),
    tiers=st.tuples(_tier("alpha"), _tier("beta")),
    globalNetworkSets=_unique(_GLOBAL_SETS, at_least=2, at_most=4),
    networkSets=_unique(_SETS, at_most=2),
    namespaces=st.just((Namespace(metadata=Metadata(name="prod", labels={"env": "prod"})),)),
    felixConfigurations=_unique(_CONFIGURATIONS, at_most=2),
).map(lambda resources: Scenario("random", resources, NODE, _INTERFACES))
