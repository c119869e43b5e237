"""Random hosts with policies of all classes that mean something together. Everything made is valid as a manifest."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pyxdp.evaluator import PolicyClass
from pyxdp.model import (
    Action,
    EndpointPort,
    FailsafePort,
    FelixConfiguration,
    GlobalNetworkPolicy,
    GlobalNetworkSet,
    HostEndpoint,
    Metadata,
    Namespace,
    NetworkPolicy,
    NetworkSet,
    PolicyType,
    Profile,
    Resources,
    StagedGlobalNetworkPolicy,
    Tier,
)
from pyxdp.net.prefixes import Prefixes
from tests.verdicts import vocabulary
from tests.verdicts.dice import once_in, some, subset
from tests.verdicts.random_rules import random_rules
from tests.verdicts.vocabulary import NODE

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from random import Random

    from pyxdp.net import Address

_POLICY_NAMES: Final = ("p", "p-a", "p.b", "q", "r", "s", "s-t", "u")
_TIERS: Final = ("default", "default", "alpha", "alpha", "beta", "kube-admin", "kube-baseline", "no-such-tier")
_PROFILES: Final = ("open", "projectcalico-default-allow", "closed", "labels", "no-such-profile")
_ORDERS: Final = (None, -1.0, 0.0, 0.5, 1.0, 1.0, 1.0)
_TIER_ORDERS: Final = (1_000_000.0, 1.0, 2.0, -3.5, 1000.0, 2_000_000.0, 20_000_000.0)
_POLICY_SELECTORS: Final = (
    *("has(hep)",) * 8,
    "",
    "hep == 'host'",
    "role == 'a'",
    "role != 'b'",
    "has(zone)",
    "hep == 'host' && zone != 'x'",
)
#: Rules of a long list; two of them fill more than one word of rule bits.
MANY: Final = 60
#: What policies are made of, some more often. Forward ones are normal ones with applyOnForward.
ALL_CLASSES: Final = (
    PolicyClass.NORMAL,
    PolicyClass.FORWARD,
    PolicyClass.UNTRACKED,
    PolicyClass.PRE_DNAT,
    PolicyClass.NORMAL,
    PolicyClass.FORWARD,
)
_BOTH: Final = tuple(PolicyType)
_TYPES: Final = (*(_BOTH,) * 4, (PolicyType.INGRESS,), (PolicyType.EGRESS,))


def random_resources(random: Random, classes: Sequence[PolicyClass] = ALL_CLASSES) -> Resources:
    """Make a host ``node1`` with its interfaces under policy, and everything that its policies speak of.

    Args:
        random: thrown.
        classes: what policies are made of.
    """
    return Resources(
        hostEndpoints=tuple(sorted(_endpoints(random), key=lambda endpoint: endpoint.metadata.name)),
        globalNetworkPolicies=tuple(
            _policy(random, name, random.choice(classes)) for name in subset(random, _POLICY_NAMES, least=2, most=8)
        ),
        stagedGlobalNetworkPolicies=tuple(
            StagedGlobalNetworkPolicy(
                metadata=Metadata(name=name), stagedAction="Set", policy=_policy(random, name, random.choice(classes))
            )
            for name in subset(random, ("p", "trial"), most=2)
            if once_in(random, 2)
        ),
        networkPolicies=(
            NetworkPolicy(metadata=Metadata(name="spaced", namespace="prod"), ingress=random_rules(random, _BOTH[0])),
        )
        if once_in(random, 8)
        else (),
        tiers=tuple(
            Tier(
                metadata=Metadata(name=name),
                order=random.choice(_TIER_ORDERS),
                defaultAction=random.choice((Action.DENY, Action.PASS)),
            )
            for name in ("alpha", "beta")
        ),
        globalNetworkSets=tuple(
            GlobalNetworkSet(metadata=_metadata(random, name), nets=_nets(random))
            for name in subset(random, ("set-a", "set-b", "set-c", "set-d"), least=1, most=4)
        ),
        networkSets=tuple(
            NetworkSet(metadata=_metadata(random, "set", namespace), nets=_nets(random))
            for namespace in subset(random, ("prod", "test"), most=2)
        ),
        profiles=tuple(_profile(random, name) for name in ("closed", "labels", "open")),
        felixConfigurations=tuple(
            _configuration(random, name) for name in subset(random, ("default", f"node.{NODE}", "node.other"), most=3)
        ),
        namespaces=(Namespace(metadata=Metadata(name="prod", labels={"env": "prod"})),),
    )


def _metadata(random: Random, name: str, namespace: str = "", **labels: str) -> Metadata:
    return Metadata(name=name, namespace=namespace, labels={**_labels(random), **labels})


def _labels(random: Random) -> dict[str, str]:
    return {key: random.choice(vocabulary.VALUES[key]) for key in vocabulary.LABELS if not once_in(random, 3)}


def _nets(random: Random) -> Prefixes:
    return Prefixes.of(some(random, vocabulary.ALL_NETWORKS, least=1, most=5))


def _endpoints(random: Random) -> Iterator[HostEndpoint]:
    """The host's own, which may compete for an interface, and those of other hosts."""
    both = tuple(vocabulary.HOST.values())
    yield _endpoint(random, "host", "eth0", () if once_in(random, 3) else both)
    if once_in(random, 3):
        yield _endpoint(random, "address", "", (random.choice(both),))
    if once_in(random, 2):
        yield _endpoint(random, "second", "eth1")
    if once_in(random, 2):
        yield _endpoint(random, "everything", "*")
    for name in subset(random, ("peer-a", "peer-b"), most=2):
        nets = subset(random, vocabulary.ALL_NETWORKS, most=2)
        yield HostEndpoint(
            metadata=_metadata(random, name),
            node="node2",
            interfaceName="eth0",
            expectedIPs=tuple(dict.fromkeys(net.network_address for net in nets)),
            profiles=subset(random, ("labels", "open"), most=1),
            ports=_ports(random),
        )


def _endpoint(random: Random, name: str, interface: str, expected: tuple[Address, ...] = ()) -> HostEndpoint:
    return HostEndpoint(
        metadata=_metadata(random, name, hep="host"),
        node=NODE,
        interfaceName=interface,
        expectedIPs=expected,
        profiles=tuple(random.sample(_PROFILES, random.randrange(4))),
        ports=_ports(random),
    )


def _ports(random: Random) -> tuple[EndpointPort, ...]:
    return tuple(
        EndpointPort(
            random.choice(("web", "dns")), random.choice(vocabulary.TRANSPORTS), random.choice(vocabulary.EDGE_PORTS)
        )
        for _ in range(random.randrange(4))
    )


def _profile(random: Random, name: str) -> Profile:
    return Profile(
        metadata=Metadata(name=name),
        ingress=random_rules(random, PolicyType.INGRESS, most=3),
        egress=random_rules(random, PolicyType.EGRESS, most=3),
        labelsToApply=_labels(random),
    )


def _configuration(random: Random, name: str) -> FelixConfiguration:
    return FelixConfiguration(
        metadata=Metadata(name=name),
        failsafeInboundHostPorts=_failsafes(random),
        failsafeOutboundHostPorts=_failsafes(random),
        interfacePrefix=("cali", "tap") if once_in(random, 6) else None,
        disableConntrackInvalidCheck=random.choice((None, None, True, False)),
        iptablesFilterAllowAction=random.choice((None, None, "Accept", "Return")),
        iptablesFilterDenyAction=random.choice((None, None, "Drop", "Reject")),
    )


def _failsafes(random: Random) -> tuple[FailsafePort, ...] | None:
    if once_in(random, 3):
        return None
    return tuple(
        FailsafePort(
            random.choice(vocabulary.TRANSPORTS),
            random.choice((*vocabulary.EDGE_PORTS, 0)),
            random.choice(vocabulary.ALL_NETWORKS) if once_in(random, 2) else None,
        )
        for _ in range(random.randrange(4))
    )


def _policy(random: Random, name: str, policy_class: PolicyClass) -> GlobalNetworkPolicy:
    before_dnat = policy_class is PolicyClass.PRE_DNAT
    most = MANY if once_in(random, 16) else 5
    return GlobalNetworkPolicy(
        metadata=Metadata(name=name),
        tier=random.choice(_TIERS),
        order=random.choice(_ORDERS),
        selector=random.choice(_POLICY_SELECTORS),
        namespaceSelector=random.choice(vocabulary.NAMESPACE_SELECTORS[2:]) if once_in(random, 12) else "",
        serviceAccountSelector="team != 'red'" if once_in(random, 20) else "",
        types=(PolicyType.INGRESS,) if before_dnat else random.choice(_TYPES),
        ingress=random_rules(random, PolicyType.INGRESS, most=most),
        egress=() if before_dnat else random_rules(random, PolicyType.EGRESS, most=most),
        doNotTrack=policy_class is PolicyClass.UNTRACKED,
        preDNAT=before_dnat,
        applyOnForward=policy_class is not PolicyClass.NORMAL,
    )
