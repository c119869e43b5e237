"""Normal policy about ports that are translated before it is asked (spec section 9, number 9)."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address, IPv6Address
from typing import TYPE_CHECKING, Final

from pyxdp.lint.example import end_text
from pyxdp.lint.finding import Code, Example, Finding, Severity
from pyxdp.lint.places import subject
from pyxdp.model import Action
from pyxdp.resolver import Direction, PolicyClass

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyxdp.lint.places import Place
    from pyxdp.lint.survey import Survey
    from pyxdp.net import Address
    from pyxdp.net.values import Family

#: Kubernetes' range for services of type NodePort.
_NODE_PORTS: Final = range(30000, 32768)
#: Where a service might send a packet.
_POD: Final[dict[Family, Address]] = {4: IPv4Address("10.244.0.10"), 6: IPv6Address("fd00:10:244::10")}
_POD_PORT: Final = 8080
_AFTER_DNAT: Final = frozenset({PolicyClass.NORMAL, PolicyClass.FORWARD})


def find_nodeports(survey: Survey) -> Iterator[Finding]:
    """Find ingress rules for node ports in policy that sees packets only after DNAT."""
    for places in survey.places.values():
        place = places[0]
        rule = place.reach.listed.rule
        ports = rule.destination.ports
        if place.chain.policy_class not in _AFTER_DNAT or rule.id.direction is not Direction.INGRESS or ports is None:
            continue
        node_ports = bool(ports.ranges) and all(
            one.first in _NODE_PORTS and one.last in _NODE_PORTS for one in ports.ranges
        )
        if node_ports and place.reach.listed.boxes:
            yield _finding(place)


def _finding(place: Place) -> Finding:
    rule = place.reach.listed.rule
    deny = rule.action is Action.DENY
    return Finding(
        code=Code.AFTER_DNAT,
        severity=Severity.WARNING if deny else Severity.NOTICE,
        subject=subject(rule.id),
        text=f"{rule.action.value} is about node ports, and does not see them where kube-proxy translates them before: "
        "only preDNAT policy does",
        origin=rule.id.origin,
        example=_example(place),
    )


def _example(place: Place) -> Example:
    """Return a packet to a node port, and what becomes of it when it is translated to a pod's address."""
    packet = place.view.sample(place.reach.listed.boxes, Direction.INGRESS)
    translated = replace(packet, destination=_POD[packet.family], destination_port=_POD_PORT)
    outcome = place.view.judge(packet, Direction.INGRESS, forwarded=True, translated=translated)
    endpoint = place.view.shape.endpoints[0].metadata.name
    text = f"translated to {end_text(translated.destination, translated.destination_port)}, {outcome.text}"
    return Example(packet, Direction.INGRESS, endpoint, forwarded=True, outcome=text, translated=translated)
