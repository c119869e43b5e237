"""The evaluator as a judge of cases: it shares nothing with the programs, and needs nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from pyxdp.cases.words import judgement_of, unreadable
from pyxdp.evaluator import Direction, Evaluator, Path
from pyxdp.trial import Judgement, PolicyClass, Stage, Verdict
from pyxdp.trial.frames import Arrival, arrival

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pyxdp.cases.endpoints import TestedEndpoint
    from pyxdp.cases.values import Case
    from pyxdp.evaluator import Context
    from pyxdp.model import Resources
    from pyxdp.net import Packet


_FORWARDED: Final = (Direction.EGRESS, Path.FORWARD)


class Judge(Protocol):
    """Something that judges cases."""

    def judge(self, case: Case) -> Judgement:
        """Say what becomes of the packet of a case."""
        ...


class Evaluators:
    """An evaluator for each endpoint."""

    def __init__(self, resources: Resources, endpoints: Mapping[str, TestedEndpoint]) -> None:
        self._endpoints = endpoints
        self._evaluators = {
            name: Evaluator(resources, node=it.endpoint.node, interfaces=[it.interface])
            for name, it in endpoints.items()
        }

    def judge(self, case: Case) -> Judgement:
        """Walk the policy."""
        return evaluated(
            self._evaluators[case.endpoint],
            case.packet,
            interface=self._endpoints[case.endpoint].interface.name,
            direction=case.direction,
            context=case.context,
            stage=case.stage,
        )


def evaluated(  # noqa: PLR0913 - a question of six independent parts
    evaluator: Evaluator,
    packet: Packet | bytes,
    *,
    interface: str,
    direction: Direction,
    context: Context,
    stage: Stage = Stage.ALL,
) -> Judgement:
    """Say what the evaluator makes of a packet or frame; see :meth:`pyxdp.trial.TrialHost.judge`."""
    if isinstance(packet, bytes):
        found = arrival(packet)
        if found.packet is None:
            return unreadable(found.reason, _reader(found, direction, context.path, stage))
        packet = found.packet
    if packet.later_fragment and (direction, context.path) == _FORWARDED:
        # The host has put the datagram together before it forwards it.
        return Judgement(verdict=Verdict.NO_MATCH, reason="PASS_NOT_GOVERNED")
    evaluation = evaluator.evaluate(packet, interface=interface, direction=direction, context=context)
    return judgement_of(evaluation, direction, stage)


def _reader(found: Arrival, direction: Direction, path: Path, stage: Stage) -> PolicyClass:
    """Return the class that is the first to find a frame unreadable; none when no class sees it."""
    if direction is Direction.INGRESS:
        return PolicyClass.UNTRACKED
    if not found.in_tables:
        return PolicyClass.NONE
    if path is Path.LOCAL:
        return PolicyClass.UNTRACKED
    return PolicyClass.FORWARD if found.whole and stage is Stage.ALL else PolicyClass.NONE
