"""What becomes of a flow."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from pyxdp.evaluator import Conntrack, Context, Direction
from pyxdp.trial import Stage, TrialHost, Verdict

if TYPE_CHECKING:
    from pyxdp.guard.flows import Flow
    from pyxdp.net import Packet
    from pyxdp.trial import Judgement

_KNOWN: Final = Context(conntrack=Conntrack.ESTABLISHED)
_NEW: Final = Context(conntrack=Conntrack.NEW)


class End(NamedTuple):
    """How a flow ends.

    Attributes:
        packet: that is denied.
        direction: of it.
        context: in which it is.
        stage: how far it comes.
    """

    packet: Packet
    direction: Direction
    context: Context
    stage: Stage = Stage.ALL


class Fate(NamedTuple):
    """What becomes of a flow.

    Attributes:
        end: what ends it in any case.
        end_unless_known: what ends it if connection tracking does not know it.
        end_anew: what ends it when it is begun again.
        untracked: some of its packets leave connection tracking.
    """

    end: End | None = None
    end_unless_known: End | None = None
    end_anew: End | None = None
    untracked: bool = False

    def ends(self, *, unknown: bool) -> End | None:
        """What ends it, if connection tracking does not know it, or if it does."""
        return self.end_unless_known if unknown else self.end


def fate_of(host: TrialHost, flow: Flow) -> Fate:
    """Follow the packets of a flow, on the policy and the interface that the host enforces.

    What is allowed as the first packet of a connection is allowed as one of many; so most need one question.
    """
    if flow.by_port:
        verdict, _ = host.verdict(flow.packet, direction=flow.direction, context=_KNOWN, stage=Stage.UNTRACKED)
        end = End(flow.packet, flow.direction, _KNOWN, Stage.UNTRACKED) if verdict is Verdict.DENY else None
        return Fate(end, end, end)
    there, back = (flow.packet, flow.direction), (flow.answer, flow.back)
    (denied_there, loose_there), (denied_back, loose_back) = _asked(host, *there, _NEW), _asked(host, *back, _NEW)
    untracked = loose_there or loose_back
    if not (denied_there or denied_back):
        return Fate(untracked=untracked)
    anew = End(*there, _NEW) if denied_there else _end(host, back)
    if flow.session is None:
        return Fate(anew, anew, anew, untracked)
    known = (_end(host, there) if denied_there else None) or (_end(host, back) if denied_back else None)
    # One that connection tracking does not know is known again from the first tracked packet on that passes.
    revived = not (denied_there or loose_there) or not (denied_back or loose_back)
    unknown = None if revived else End(*(there if denied_there else back), _NEW)
    return Fate(known, known or unknown, anew, untracked)


def judgement_of(host: TrialHost, end: End) -> Judgement:
    """Find out who denies it."""
    return host.judge(end.packet, direction=end.direction, context=end.context, stage=end.stage)


def _end(host: TrialHost, way: tuple[Packet, Direction]) -> End | None:
    return End(*way, _KNOWN) if _asked(host, *way, _KNOWN)[0] else None


def _asked(host: TrialHost, packet: Packet, direction: Direction, context: Context) -> tuple[bool, bool]:
    """Whether a packet is denied, and whether it leaves connection tracking."""
    verdict, untracked = host.verdict(packet, direction=direction, context=context)
    return verdict is Verdict.DENY, untracked
