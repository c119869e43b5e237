"""From a question to its explanation: the evaluator's answer, with places and values."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from pyxdp.evaluator import (
    ClassResult,
    Context,
    Direction,
    Evaluation,
    Path,
    PolicyClass,
    Reason,
)
from pyxdp.evaluator.classes import BEFORE_DNAT
from pyxdp.evaluator.labels import endpoint_labels
from pyxdp.explanation.bystanders import find_bystanders
from pyxdp.explanation.governance import describe_governance
from pyxdp.explanation.origins import origin_of_rule
from pyxdp.explanation.stages import Passage
from pyxdp.explanation.values import NOWHERE, Bystander, ClassAccount, Explanation, Stage
from pyxdp.net.parse import Content, Frame

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyxdp.explanation.place import Place
    from pyxdp.model import HostEndpoint, Origin
    from pyxdp.net import Packet

_HOOKS: Final = {
    (PolicyClass.UNTRACKED, Direction.INGRESS, Path.LOCAL): ("XDP", "raw PREROUTING"),
    (PolicyClass.UNTRACKED, Direction.INGRESS, Path.FORWARD): ("XDP", "raw PREROUTING"),
    (PolicyClass.UNTRACKED, Direction.EGRESS, Path.LOCAL): ("raw OUTPUT",),
    (PolicyClass.PRE_DNAT, Direction.INGRESS, Path.LOCAL): ("mangle PREROUTING",),
    (PolicyClass.PRE_DNAT, Direction.INGRESS, Path.FORWARD): ("mangle PREROUTING",),
    (PolicyClass.NORMAL, Direction.INGRESS, Path.LOCAL): ("filter INPUT",),
    (PolicyClass.NORMAL, Direction.EGRESS, Path.LOCAL): ("filter OUTPUT",),
    (PolicyClass.FORWARD, Direction.INGRESS, Path.FORWARD): ("filter FORWARD",),
    (PolicyClass.FORWARD, Direction.EGRESS, Path.FORWARD): ("filter FORWARD",),
}
#: What a process of the host sends and DNAT sends elsewhere has its interface only behind routing.
_BEHIND_DNAT: Final = ("mangle POSTROUTING",)
_FINAL_BEHIND_DNAT: Final = ((PolicyClass.NORMAL, Direction.EGRESS, Path.LOCAL),)
#: Reasons that are written where the host endpoint is.
_OF_ENDPOINT: Final = (Reason.END_OF_PROFILES, Reason.MISSING_PROFILE)


def explain(place: Place, direction: Direction, packet: Packet | Frame, context: Context | None = None) -> Explanation:
    """Say what becomes of a packet at a place, and why.

    A later fragment that leaves a forwarding host is a whole datagram again by then, so no class is asked about it.

    Args:
        place: the interface that the packet enters or leaves through.
        direction: ingress or egress.
        packet: with its destination after DNAT; or a frame, which need not hold anything that policy could judge.
        context: what is known beyond its bytes; by default a new connection of a local process.

    Raises:
        UnknownInterfaceError: the place has no such interface.
        UnsupportedPolicyError: a policy that applies matches Kubernetes services.
    """
    context = context or Context()
    frame = packet if isinstance(packet, Frame) else Frame(content=Content.FLOW, packet=packet)
    governance = place.governance
    explanation = Explanation(
        interface=place.interface,
        direction=direction,
        context=context,
        content=frame.content,
        packet=frame.packet,
        endpoint=governance.endpoint.metadata.name if governance else "",
        endpoint_origin=governance.endpoint.metadata.origin if governance else NOWHERE,
        governance=describe_governance(place, governance),
    )
    if governance is None or frame.packet is None or _is_reassembled(frame.packet, direction, context):
        return explanation
    question = _Question(place, governance.endpoint, direction, frame.packet, context)
    evaluation = question.evaluate()
    classes = tuple(question.account(result) for result in evaluation.classes)
    return replace(
        explanation,
        classes=classes,
        untracked=evaluation.untracked,
        bystanders=question.bystanders(evaluation, classes),
    )


def _is_reassembled(packet: Packet, direction: Direction, context: Context) -> bool:
    return packet.later_fragment and (direction, context.path) == (Direction.EGRESS, Path.FORWARD)


@dataclass(frozen=True, slots=True)
class _Question:
    """A packet at a governed place."""

    place: Place
    endpoint: HostEndpoint
    direction: Direction
    packet: Packet
    context: Context

    def evaluate(self) -> Evaluation:
        return self.place.evaluator.evaluate(
            self.packet, interface=self.place.interface, direction=self.direction, context=self.context
        )

    def account(self, result: ClassResult) -> ClassAccount:
        before_dnat = result.policy_class in BEFORE_DNAT
        passage = Passage(
            resources=self.place.resources,
            node=self.place.node,
            endpoint=self.endpoint,
            labels=endpoint_labels(self.place.resources, self.endpoint),
            direction=self.direction,
            packet=self.context.before_dnat(self.packet) if before_dnat else self.packet,
            context=self.context,
            result=result,
        )
        stages = tuple(passage.stages())
        return ClassAccount(
            policy_class=result.policy_class,
            hooks=self._hooks(result.policy_class),
            verdict=result.verdict,
            reason=result.reason,
            rule=result.rule,
            tier=result.tier,
            origin=self._origin(result, stages[-1]),
            logs=result.logs,
            stages=stages,
        )

    def _hooks(self, policy_class: PolicyClass) -> tuple[str, ...]:
        way = policy_class, self.direction, self.context.path
        dnat = self.context.original_destination is not None or self.context.original_destination_port is not None
        return _BEHIND_DNAT if dnat and way in _FINAL_BEHIND_DNAT else _HOOKS[way]

    def bystanders(self, evaluation: Evaluation, classes: Sequence[ClassAccount]) -> tuple[Bystander, ...]:
        lists = (rules for account in classes for stage in account.stages for rules in stage.lists)
        found = find_bystanders(
            self.place.resources,
            endpoint_labels(self.place.resources, self.endpoint),
            self.direction,
            self.context.path,
            evaluation,
            asked={rules.name for rules in lists if rules.kind == "GlobalNetworkPolicy"},
        )
        return tuple(found)

    def _origin(self, result: ClassResult, last: Stage) -> Origin:
        """Find where what decided is written; for the end of a tier that nobody wrote its last policy."""
        if result.rule is not None:
            return origin_of_rule(self.place.resources, result.rule, self.place.node)
        if result.reason is Reason.END_OF_TIER:
            return last.origin if str(last.origin) else last.lists[-1].origin
        return self.endpoint.metadata.origin if result.reason in _OF_ENDPOINT else NOWHERE
