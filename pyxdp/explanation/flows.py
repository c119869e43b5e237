"""Every flow of a capture once, with its explanation."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, NamedTuple

from pyxdp.evaluator import Conntrack, Context, Direction, Verdict
from pyxdp.explanation.explain import explain
from pyxdp.net.parse import Content
from pyxdp.net.values import ICMP, ICMPV6

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pyxdp.explanation.place import Place
    from pyxdp.explanation.values import Explanation
    from pyxdp.net import Packet
    from pyxdp.net.capture import Captured

#: Type of an ICMP answer -> that of its question (RFC 792, RFC 950, RFC 4443).
_ANSWERS: Final = {ICMP: {0: 8, 14: 13, 16: 15, 18: 17}, ICMPV6: {129: 128}}


@dataclass(frozen=True, slots=True)
class Flow:
    """Packets of a capture that are alike in everything that policy looks at.

    Attributes:
        packets: how many.
        first: number of the first one in the capture.
        explanation: of each of them.
    """

    packets: int
    first: int
    explanation: Explanation


class _Key(NamedTuple):
    direction: Direction
    content: Content
    packet: Packet | None


def explain_capture(
    place: Place,
    captured: Iterable[Captured],
    *,
    context: Context | None = None,
    direction: Direction | None = None,
    each: bool = False,
) -> list[Flow]:
    """Explain the packets of a capture, alike ones together.

    Answers to a flow that came earlier and that host policy lets pass tracked belong to an established connection;
    that much of connection tracking is done here. An earlier packet of the same flow changes nothing: connections may
    be older than the capture.

    Args:
        place: the interface that the packets enter or leave through.
        captured: the packets.
        context: for all of them; if its state is not ``NEW``, answers have that one too.
        direction: of all of them; by default what the capture says, or else the addresses.
        each: do not put alike ones together.

    Returns:
        In the order in which they first occur.

    Raises:
        CaptureError: of the capture.
        UnknownInterfaceError: the place has no such interface.
        UnsupportedPolicyError: a policy that applies matches Kubernetes services.
    """
    context = context or Context()
    explained: dict[_Key, Explanation] = {}
    flows: dict[_Key | int, Flow] = {}
    for it in captured:
        key = _Key(direction or _direction(place, it), it.frame.content, it.frame.packet)
        if key not in explained:
            state = Conntrack.ESTABLISHED if _answers_one_of(explained, key) else Conntrack.NEW
            asked = replace(context, conntrack=state) if context.conntrack is Conntrack.NEW else context
            explained[key] = explain(place, key.direction, it.frame, asked)
        name = it.number if each else key
        known = flows.get(name)
        flows[name] = replace(known, packets=known.packets + 1) if known else Flow(1, it.number, explained[key])
    return list(flows.values())


def _direction(place: Place, captured: Captured) -> Direction:
    if captured.outgoing is not None:
        return Direction.EGRESS if captured.outgoing else Direction.INGRESS
    return place.direction_of(captured.frame)


def _answers_one_of(explained: dict[_Key, Explanation], key: _Key) -> bool:
    question = _question(key.packet) if key.packet else None
    if question is None:
        return False
    direction = Direction.EGRESS if key.direction is Direction.INGRESS else Direction.INGRESS
    found = explained.get(_Key(direction, Content.FLOW, question))
    return found is not None and found.verdict is not Verdict.DENY and not found.untracked


def _question(packet: Packet) -> Packet | None:
    """Return the packet that this one would answer."""
    kind = packet.icmp_type
    if packet.protocol in _ANSWERS:
        kind = _ANSWERS[packet.protocol].get(kind if kind is not None else -1)
        if kind is None:
            return None
    return replace(
        packet,
        source=packet.destination,
        destination=packet.source,
        source_port=packet.destination_port,
        destination_port=packet.source_port,
        icmp_type=kind,
    )
