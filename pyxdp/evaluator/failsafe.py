"""Failsafe ports (spec section 5)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyxdp.evaluator.endpoint import failsafe_ports
from pyxdp.evaluator.matching import Truth
from pyxdp.evaluator.outcome import Direction, RuleRef
from pyxdp.model import Action

if TYPE_CHECKING:
    from pyxdp.model import Resources
    from pyxdp.net import Packet


def match_failsafe(
    resources: Resources, *, node: str, direction: Direction, packet: Packet, mirrored: bool
) -> tuple[Truth, RuleRef | None]:
    """Find the first failsafe port that a packet uses.

    A port of the packet's own direction is its destination port. In the untracked class the ports of the other
    direction count as well, as source ports: so the replies of a tracked connection are not lost. The prefix of an
    entry is always compared with the other side's address.

    Args:
        resources: all resources.
        node: the host.
        direction: ingress or egress.
        packet: the packet.
        mirrored: whether the list of the other direction counts.

    Returns:
        YES and the entry; MAYBE and the entry for a later fragment whose ports would decide; NO and ``None``.
    """
    inbound, outbound = failsafe_ports(resources, node)
    if direction is Direction.INGRESS:
        remote, own, other = packet.source, (Direction.INGRESS, inbound), (Direction.EGRESS, outbound)
    else:
        remote, own, other = packet.destination, (Direction.EGRESS, outbound), (Direction.INGRESS, inbound)
    lists = [(own, packet.destination_port), (other, packet.source_port)]
    for (listed, ports), port in lists if mirrored else lists[:1]:
        for number, failsafe in enumerate(ports):
            if failsafe.protocol.number != packet.protocol or (failsafe.net and remote not in failsafe.net):
                continue
            ref = RuleRef(
                kind="FelixConfiguration", policy="failsafe", direction=listed, number=number, action=Action.ALLOW
            )
            if packet.later_fragment:
                return Truth.MAYBE, ref
            if failsafe.port == port:
                return Truth.YES, ref
    return Truth.NO, None
