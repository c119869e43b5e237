"""Tests of policy and their results: frozen values."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from pyxdp.evaluator import Context, Direction
from pyxdp.model import Origin
from pyxdp.trial import Stage, Verdict

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pyxdp.net import Packet
    from pyxdp.trial import Judgement

Engine: TypeAlias = Literal["programs", "evaluator"]

_IN_WORDS: Final = {True: "untracked", False: "tracked"}
#: Connection tracking alone decided; which class it spared the packet means nothing to people.
_BY_CONNECTION: Final = ("ESTABLISHED", "DROP_INVALID")


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A packet, and what should become of it.

    Attributes:
        name: for people.
        endpoint: name of the HostEndpoint that governs the interface.
        packet: as it is after DNAT; or an Ethernet frame, at least 14 bytes, as it is on the wire.
        expect: what should become of it. A packet that no class decides passes: at the last stage both ``ALLOW`` and
            ``NO_MATCH`` are true of it.
        untracked: whether it should leave connection tracking; ``None``: either will do.
        direction: ingress or egress.
        context: path, state of connection tracking, destination before DNAT.
        stage: how far it is followed.
        origin: file and line.
    """

    name: str
    endpoint: str
    packet: Packet | bytes
    expect: Verdict
    untracked: bool | None = None
    direction: Direction = Direction.INGRESS
    context: Context = field(default=Context())
    stage: Stage = Stage.ALL
    origin: Origin = field(default=Origin())


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseResult:
    """What became of the packet of a case.

    Attributes:
        case: which one.
        judgements: what each engine says, the programs first.
        origins: where the rules by which they say so are written; empty for what is written nowhere.
    """

    case: Case
    judgements: Mapping[Engine, Judgement]
    origins: Mapping[Engine, Origin] = field(default_factory=dict)

    @property
    def judgement(self) -> Judgement:
        """What the programs say, or the evaluator where they were not asked."""
        return next(iter(self.judgements.values()))

    @property
    def passed(self) -> bool:
        """All is as it should be."""
        return not self.failure

    @property
    def failure(self) -> str:
        """What is not as it should be, in a sentence; empty when the case passed."""
        answers = {(it.verdict, it.untracked) for it in self.judgements.values()}
        if len(answers) > 1:
            said = "; ".join(f"{engine}: {self._described(engine)}" for engine in self.judgements)
            return f"expected {self._expected}, and the engines disagree: {said}"
        wrong = self.judgement.verdict is not self.case.expect or self.case.untracked not in (
            None,
            self.judgement.untracked,
        )
        return f"expected {self._expected}, got {self.outcome}" if wrong else ""

    @property
    def outcome(self) -> str:
        """What became of the packet, by which rule, and where that is written."""
        return self._described(next(iter(self.judgements)))

    @property
    def origin(self) -> Origin:
        """Where the rule of :attr:`judgement` is written; empty if it is written nowhere."""
        return self.origins.get(next(iter(self.judgements)), Origin())

    def _described(self, engine: Engine) -> str:
        return describe(self.judgements[engine], self.origins.get(engine))

    @property
    def _expected(self) -> str:
        case = self.case
        return case.expect.value if case.untracked is None else f"{case.expect.value} {_IN_WORDS[case.untracked]}"


def describe(judgement: Judgement, origin: Origin | None = None) -> str:
    """Say what became of a packet, and who decided: ``deny by default/web/ingress[1] at web.yaml:30 (normal, ...)``.

    Args:
        judgement: what became of it.
        origin: where the rule that decided is written, if that is known.
    """
    verdict = f"{judgement.verdict.value}{' untracked' * judgement.untracked}"
    place = f" at {origin}" if origin and origin.line else ""
    by = f" by {judgement.rule}{place}" if judgement.rule else ""
    policy_class = "" if judgement.reason in _BY_CONNECTION else judgement.policy_class.value
    where = ", ".join(part for part in (policy_class, judgement.reason) if part)
    return f"{verdict}{by} ({where})" if where else f"{verdict}{by}"
