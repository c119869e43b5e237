"""What the policy of a user costs: on flows such as its own rules are about."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING, Final

from pyxdp.bench.figures import above, alternating
from pyxdp.bench.judging import Judged, each
from pyxdp.bench.traffic import Flow, Traffic, encoded
from pyxdp.resolver import Direction, PolicyClass

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyxdp.bench.table import Size
    from pyxdp.resolver import EffectiveEndpoint, EffectivePolicy, EffectiveRule

_FLOWS: Final = 4096


@dataclass(frozen=True)
class EndpointCost:
    """What a packet costs on one interface.

    Attributes:
        interface: which.
        endpoint: the HostEndpoint that governs it.
        nanoseconds: over an empty program, median.
        floor: the empty program, median.
        seconds: that compiling and writing the maps took.
        memory: bytes of the maps.
        instructions: that the verifier processed, by program.
    """

    interface: str
    endpoint: str
    nanoseconds: float
    floor: float
    seconds: dict[str, float]
    memory: int
    instructions: dict[str, int]


def endpoint_costs(effective: EffectivePolicy, size: Size, seed: int = 0) -> Iterator[EndpointCost]:
    """Measure each interface with XDP: TCP flows over IPv4, from addresses and to ports that its rules name."""
    for endpoint in effective.endpoints:
        if endpoint.workloads:
            continue
        flows = flows_of(endpoint, seed)
        with Judged(effective, endpoint.interface) as made, Traffic(encoded(flows)) as traffic:
            runs = {"program": made.over(traffic, size.repeat), "floor": each(traffic, traffic.drop, size.repeat)}
            found = alternating(size.rounds, runs)
            yield EndpointCost(
                endpoint.interface.name,
                endpoint.name,
                above(found["program"], found["floor"]),
                sorted(found["floor"])[len(found["floor"]) // 2],
                made.seconds,
                made.memory,
                made.instructions,
            )


def flows_of(endpoint: EffectiveEndpoint, seed: int = 0) -> list[Flow]:
    """Return flows of which each is about a rule of the endpoint's untracked ingress policy, at random."""
    random = Random(seed)  # noqa: S311 - not for secrets
    tiers = endpoint.tiers.get((PolicyClass.UNTRACKED, Direction.INGRESS), ())
    rules = [rule for tier in tiers for policy in tier.policies if not policy.staged for rule in policy.rules]
    return [_flow(random, random.choice(rules) if rules else None) for _ in range(_FLOWS)]


def _flow(random: Random, rule: EffectiveRule | None) -> Flow:
    source, port = random.randrange(1 << 32), random.randrange(1, 1 << 16)
    if rule is not None:
        networks = rule.source.sets[0].networks if rule.source.sets else ()
        network = random.choice(networks) if len(networks) else None
        if network is not None and network.version == 4:  # noqa: PLR2004 - IP version
            source = int(network.network_address) + random.randrange(network.num_addresses)
        if rule.destination.ports is not None and rule.destination.ports.ranges:
            chosen = random.choice(rule.destination.ports.ranges)
            port = random.randint(chosen.first, chosen.last)
    return Flow(source, random.randrange(1, 1 << 16), port)
