"""What ``pyxdp apply`` does about a policy that would cut what must live."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pyxdp.errors import PyxdpError, WouldCutError
from pyxdp.guard import Findings, Guard, session_of_caller

if TYPE_CHECKING:
    from typing_extensions import Self

    from pyxdp.cli.output import Output
    from pyxdp.model import Resources
    from pyxdp.planner import State, Target
    from pyxdp.resolver import EffectivePolicy

_HINT: Final = "nothing was changed; to do it all the same: --force, and with --confirm-within it goes back by itself"


class Guarding:
    """A guard around one apply. A context manager.

    Attributes:
        cuts: what the policy cuts, where that was told and not refused, a line each.
    """

    def __init__(self, output: Output, resources: Resources, policy: EffectivePolicy, *, refuses: bool) -> None:
        """Check nothing yet.

        Args:
            output: where warnings go.
            resources: to be applied.
            policy: that they resolve to.
            refuses: what would be cut is an error; otherwise a warning.
        """
        self._output = output
        self._resources = resources
        self._policy = policy
        self._refuses = refuses
        self._guard = Guard(session_of_caller())
        self.cuts: list[str] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._guard.close()

    def on_plan(self, state: State, target: Target) -> None:
        """Before the first operation.

        Raises:
            WouldCutError: the policy would cut what must live.
        """
        findings = self._check(state, target)
        for warning in findings.warnings:
            self._output.warning(warning)
        self.cuts = [str(cut) for cut in findings.cuts]
        if self.cuts and self._refuses:
            raise WouldCutError(self.cuts, hint=_HINT)
        for cut in self.cuts:
            self._output.warning(cut)

    def _check(self, state: State, target: Target) -> Findings:
        try:
            return self._guard.check(state, target, self._policy, self._resources)
        except PyxdpError as error:
            # An old kernel, say: no reason to be without policy.
            self._output.warning(f"it was not found out what this would cut: {error}")
            return Findings()
