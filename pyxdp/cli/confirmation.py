"""Asking the real programs about what was explained: both answers must be one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pyxdp.cases import Case, Verdict, describe
from pyxdp.cases.endpoints import TestedEndpoint
from pyxdp.cases.programs import Programs
from pyxdp.evaluator import Direction
from pyxdp.evaluator import Verdict as Evaluated
from pyxdp.resolver import resolve
from pyxdp.trial.frames import LONGEST, SHORTEST

if TYPE_CHECKING:
    from typing_extensions import Self

    from pyxdp.explanation import Explanation, Place
    from pyxdp.net import Packet

_VERDICTS: Final = {
    Evaluated.ALLOW: Verdict.ALLOW,
    Evaluated.DENY: Verdict.DENY,
    Evaluated.NO_VERDICT: Verdict.NO_MATCH,
}


class Confirmation:
    """The programs of this package on the running kernel, with the policy of one place.

    Needs root and Linux 5.12; nothing is attached or pinned. Use as a context manager.
    """

    def __init__(self, place: Place) -> None:
        """Compile the policy and load the programs.

        Raises:
            PyxdpError: they can not be run here, or the policy can not be compiled.
        """
        assert place.governance is not None  # noqa: S101 - there is nothing to ask about otherwise
        interface = next(it for it in place.interfaces if it.name == place.interface)
        policy = resolve(place.resources, place.node, place.interfaces)
        self._name = place.governance.endpoint.metadata.name
        self._programs = Programs({self._name: TestedEndpoint(place.governance.endpoint, interface, policy)})

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._programs.__exit__()

    def differs(self, explanation: Explanation, frame: bytes = b"") -> str | None:
        """Say what the programs answer if it is something else; empty when they agree.

        Args:
            explanation: what is to be confirmed.
            frame: that it is of; without one, the packet that policy saw is asked about.

        Returns:
            ``None`` when they can not be asked: about a frame that no test run takes, or one without a packet that
            goes out, which the host's own stack would never make.

        Raises:
            BpfError: the kernel refuses to run them.
        """
        asked = _asked(explanation, frame)
        if asked is None:
            return None
        expected = _VERDICTS[explanation.verdict]
        judgement = self._programs.judge(
            Case(
                name="",
                endpoint=self._name,
                packet=asked,
                expect=expected,
                direction=explanation.direction,
                context=explanation.context,
            )
        )
        agrees = (judgement.verdict, judgement.untracked) == (expected, explanation.untracked)
        return "" if agrees else describe(judgement)


def _asked(explanation: Explanation, frame: bytes) -> Packet | bytes | None:
    if explanation.packet is None and explanation.direction is Direction.EGRESS:
        return None
    if not frame:
        return explanation.packet
    return frame if SHORTEST <= len(frame) <= LONGEST else explanation.packet
