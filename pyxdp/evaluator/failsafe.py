"""Failsafe ports (spec section 5)."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from pyxdp.evaluator.endpoint import failsafe_ports
from pyxdp.evaluator.matching import Truth
from pyxdp.evaluator.outcome import Direction, RuleRef
from pyxdp.model import Action

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pyxdp.model import FailsafePort, Resources
    from pyxdp.net import Packet


class Failsafe(NamedTuple):
    """One entry, as one direction has it.

    Attributes:
        entry: as written.
        rule: which one it is.
        mirrored: its port is the packet's source port, not its destination port.
    """

    entry: FailsafePort
    rule: RuleRef
    mirrored: bool


def failsafes(resources: Resources, *, node: str, direction: Direction, with_mirror: bool) -> Iterator[Failsafe]:
    """Go through the failsafe ports that hold for a direction, in order.

    A port of the direction's own list is a destination port. With the mirror, the ports of the other direction count
    as well, as source ports: so the replies of a tracked connection are not lost.
    """
    inbound, outbound = failsafe_ports(resources, node)
    lists = [(Direction.INGRESS, inbound), (Direction.EGRESS, outbound)]
    for listed, entries in lists if direction is Direction.INGRESS else lists[::-1]:
        if listed is not direction and not with_mirror:
            continue
        for number, entry in enumerate(entries):
            ref = RuleRef(
                kind="FelixConfiguration", policy="failsafe", direction=listed, number=number, action=Action.ALLOW
            )
            yield Failsafe(entry, ref, mirrored=listed is not direction)


def match_failsafe(entries: Iterable[Failsafe], direction: Direction, packet: Packet) -> tuple[Truth, RuleRef | None]:
    """Find the first failsafe port that a packet uses. An entry's prefix is compared with the other side's address.

    Returns:
        YES and the entry; MAYBE and the entry for a later fragment whose ports would decide; NO and ``None``.
    """
    remote = packet.source if direction is Direction.INGRESS else packet.destination
    for entry, rule, mirrored in entries:
        if entry.protocol.number != packet.protocol or (entry.net and remote not in entry.net):
            continue
        if packet.later_fragment:
            return Truth.MAYBE, rule
        if entry.port == (packet.source_port if mirrored else packet.destination_port):
            return Truth.YES, rule
    return Truth.NO, None
