"""Untracked traffic of which one half only is allowed (spec section 3.8).

Untracked packets have no state, so the reply to an allowed packet needs an untracked Allow of its own. Without one it
is a packet of a connection that conntrack never saw begin.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from pyxdp.abi import Service
from pyxdp.compiler.intervals import shifted
from pyxdp.compiler.service import KEY_BITS, LAST_PORT, SPACES
from pyxdp.lint.boxes import Box, TooManyPiecesError, common, meet, subtract
from pyxdp.lint.finding import Code, Finding
from pyxdp.lint.places import rule_key, subject
from pyxdp.lint.regions import PORTS
from pyxdp.model import Action
from pyxdp.net.values import ICMP, ICMPV6, PORT_PROTOCOLS
from pyxdp.resolver import Direction, PolicyClass

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pyxdp.compiler.intervals import Intervals
    from pyxdp.lint.boxes import Effort
    from pyxdp.lint.chains import Chain
    from pyxdp.lint.places import RuleKey
    from pyxdp.lint.reach import Reach
    from pyxdp.lint.survey import Survey
    from pyxdp.lint.view import View

#: Ports that clients of every system use: what a rule that does not ask for a client's port is about.
_CLIENT_PORTS: Final[Intervals] = ((49152, 60999),)
#: Request and reply of ICMP's echo, as service keys; nothing else of ICMP is answered.
_ECHO: Final = {ICMP: (8 << 8, 0), ICMPV6: (128 << 8, 129 << 8)}
_FAMILIES: Final = {ICMP: 4, ICMPV6: 6}
#: Service keys of the protocols that have one key each.
_OTHER_PROTOCOLS: Final[Intervals] = ((Service.OTHER << KEY_BITS, (Service.OTHER << KEY_BITS) + 255),)
_OPPOSITE: Final = {Direction.INGRESS: Direction.EGRESS, Direction.EGRESS: Direction.INGRESS}
_HALVES: Final = {Direction.INGRESS: "come in", Direction.EGRESS: "go out"}


def find_returns(survey: Survey) -> Iterator[Finding]:
    """Find untracked Allow rules whose replies no untracked rule allows."""
    seen: set[RuleKey] = set()
    for view in survey.views:
        for direction in Direction:
            reached = view.reached.get((PolicyClass.UNTRACKED, direction))
            for reach in reached.allowed() if reached else ():
                key = rule_key(reach.listed.rule.id)
                finding = None if key in seen else _missing(view, reach, survey.effort)
                if finding:
                    seen.add(key)
                    yield finding


def _missing(view: View, reach: Reach, effort: Effort) -> Finding | None:
    rule = reach.listed.rule
    there = rule.id.direction
    back = _OPPOSITE[there]
    replies = list(_replies(reach.left or ()))
    try:
        unanswered = _not_allowed(replies, view.chains.get((PolicyClass.UNTRACKED, back)), effort)
    except TooManyPiecesError:
        return None
    if not unanswered:
        return None
    packet = view.sample(unanswered, back)
    outcome = view.judge(packet, back)
    if outcome.policy_class is not PolicyClass.UNTRACKED:
        text = "meets no untracked rule, and conntrack has not seen the packet that it answers"
    else:
        text = outcome.text
    return Finding(
        code=Code.MISSING_RETURN,
        subject=subject(rule.id),
        text=f"lets packets {_HALVES[there]} untracked, and no untracked rule lets all their replies {_HALVES[back]}",
        origin=rule.id.origin,
        example=replace(view.example(packet, back), outcome=text),
    )


def _not_allowed(boxes: list[Box], chain: Chain | None, effort: Effort) -> list[Box]:
    """Return the packets that the untracked class does not allow, whatever else it makes of them."""
    lost: list[Box] = []
    left = boxes
    for stage in chain.stages if chain else ():
        passed: list[Box] = []
        for listed in stage.rules:
            if listed.rule.action is Action.LOG:
                continue
            for one in listed.boxes:
                taken = [shared for box in left if (shared := common(box, one))]
                left = subtract(left, one, effort)
                if listed.rule.action is Action.PASS:
                    passed += taken
                elif listed.rule.action is Action.DENY:
                    lost += taken
        left = [*left, *passed]
    return [*lost, *left]


def _replies(boxes: Iterable[Box]) -> Iterator[Box]:
    """Turn packets round: source and destination change places, ports included."""
    for box in boxes:
        for protocol, space in SPACES.items():
            first = space << KEY_BITS
            details = shifted(meet(box.services, ((first, first + LAST_PORT),)), -first)
            if not details or _FAMILIES.get(protocol, box.family) != box.family:
                continue
            if protocol in PORT_PROTOCOLS:
                source, destination = _narrowed(box.source_ports, details)
                yield Box(box.family, box.destination, box.source, shifted(source, first), destination)
            elif meet(details, ((_ECHO[protocol][0], _ECHO[protocol][0]),)):
                reply = first + _ECHO[protocol][1]
                yield Box(box.family, box.destination, box.source, ((reply, reply),), PORTS)
        others = meet(box.services, _OTHER_PROTOCOLS)
        if others:
            yield Box(box.family, box.destination, box.source, others, PORTS)


def _narrowed(source: Intervals, destination: Intervals) -> tuple[Intervals, Intervals]:
    """Leave of a side that a rule does not ask about the ports of clients: a server with such a port is rare."""
    if source == PORTS:
        return _CLIENT_PORTS, destination
    return source, _CLIENT_PORTS if destination == PORTS else destination
