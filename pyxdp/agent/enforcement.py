"""One enforcer, and the shortest way to each change."""

from __future__ import annotations

import logging
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pyxdp import netlink
from pyxdp.agent.difference import members_changes, same_rules
from pyxdp.agent.refusals import REFUSED
from pyxdp.enforcer import Enforcer
from pyxdp.errors import BpfError, OperatorError, WouldCutError
from pyxdp.guard import Guard
from pyxdp.model import Resources

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pyxdp.agent.difference import MembersChange
    from pyxdp.agent.keeping import Keeping
    from pyxdp.agent.settings import AgentSettings
    from pyxdp.dataplane import Attachment, Dataplane, Drift, Report
    from pyxdp.net import Interface
    from pyxdp.planner import State, Target
    from pyxdp.sources import Text

_LOG: Final = logging.getLogger("pyxdp.agent")

#: Members that change at once up to which they are changed in place; beyond, a new image costs less.
_MEMBERS: Final = 2000


@dataclass(frozen=True, slots=True)
class Unconfirmed:
    """A change that waited to be confirmed.

    Attributes:
        before: what it goes back to otherwise.
        digest: of what it put in force.
    """

    before: Resources
    digest: str


class Enforcement:
    """What is in force by this agent.

    Attributes:
        in_force: what was enforced last; ``None`` before anything was.
        attachments: how XDP runs on each governed interface.
        stale: what the kernel holds may not be what ``in_force`` says.
        unconfirmed: a change that waited to be confirmed when it was made; ``None`` when none did.
    """

    def __init__(
        self,
        settings: AgentSettings,
        node: str,
        dataplane: Dataplane,
        keeping: Keeping,
    ) -> None:
        """Change nothing yet.

        Args:
            settings: of the agent.
            node: whose host endpoints count.
            dataplane: where to.
            keeping: keeps what is in force.
        """
        self._settings = settings
        self._enforcer = Enforcer(dataplane, node=node)
        self._keeping = keeping
        self._guard = Guard() if settings.guard else None
        self._interfaces: tuple[Interface, ...] = ()
        self.in_force: Resources | None = None
        self.attachments: tuple[Attachment, ...] = ()
        self.stale = True
        self.unconfirmed: Unconfirmed | None = None

    def close(self) -> None:
        """Forget everything; what is enforced stays."""
        self._enforcer.close()
        if self._guard:
            self._guard.close()

    @property
    def generation(self) -> int:
        """Of what was put in force last."""
        return self._enforcer.generation

    def compare_interfaces(self) -> None:
        """Find out whether interfaces are what they were when policy was applied last; they are not if nobody can tell.

        A dump that changes interrupt is an error, and they come in bursts: to apply reads again, and is tried again.
        """
        try:
            self.stale |= netlink.interfaces() != self._interfaces
        except OperatorError as error:
            _LOG.warning("%s", error)
            self.stale = True

    def look(self) -> frozenset[Drift]:
        """Find out what others have changed, and give back the memory that this takes."""
        try:
            return self._enforcer.look()
        finally:
            self._enforcer.rest()

    def settle(self) -> None:
        """Remember what there is now, for :meth:`look`."""
        self._enforcer.settle()

    def distrust(self) -> None:
        """Let the next change read everything back, and repair what is not as it should be."""
        self._enforcer.distrust()
        self.stale = True

    def put(self, resources: Resources, texts: Callable[[], Sequence[Text]]) -> str:
        """Enforce something as a whole.

        Args:
            resources: that are to be in force.
            texts: that they were read from.

        Returns:
            How: ``full``, ``members``, or ``nothing`` where that was in force already.

        Raises:
            PyxdpError: as for :meth:`pyxdp.enforcer.Enforcer.apply`.
        """
        if not self.stale and resources is self.in_force:
            return "nothing"
        changes = None
        if not self.stale and self.in_force is not None and self._enforcer.resources is not None:
            changes = members_changes(self.in_force, resources)
        stale, self.stale = self.stale, True
        if changes is not None and sum(map(len, changes)) <= _MEMBERS and not self._concern_node(changes):
            kind = self._change_members(changes)  # some may be there already when others are refused
        else:
            try:
                kind = "full" if self._apply(resources, texts).plan else "nothing"
            except REFUSED:  # before anything was touched
                self.stale = stale
                raise
        self.in_force, self.stale = resources, False
        return kind

    def _concern_node(self, changes: Sequence[MembersChange]) -> bool:
        """Whether members change that the node's way to its API server may hang on: then it is checked as ever."""
        if self._guard is None or not changes:
            return False
        here = (address for interface in self._interfaces for address in interface.addresses)
        servers = self._guard.api_servers()
        addresses = [*servers, *here] if servers else []
        changed = [prefixes for change in changes for prefixes in (change.entered, change.left)]
        return any(prefixes.contains(address) for prefixes in changed for address in addresses)

    def _change_members(self, changes: Sequence[MembersChange]) -> str:
        """Let members enter and leave: first enter, so that none that another prefix holds is ever out."""
        rebuilt = False
        for change in changes:
            if change.entered:
                rebuilt |= bool(self._enforcer.add_members(change.kind, change.name, change.entered).rebuilt)
        for change in changes:
            if change.left:
                rebuilt |= bool(self._enforcer.remove_members(change.kind, change.name, change.left).rebuilt)
        if not changes:
            return "nothing"
        return "full" if rebuilt else "members"

    def _apply(self, resources: Resources, texts: Callable[[], Sequence[Text]]) -> Report:
        policy_changes = self.in_force is None or resources != self.in_force
        rules_change = self.in_force is None or not same_rules(self.in_force, resources)
        with ExitStack() as stack:
            keeper = stack.enter_context(self._keeping.confirming(texts)) if rules_change else None

            def on_plan(state: State, target: Target) -> None:
                if policy_changes:
                    self._check(state, target, resources)
                if keeper:
                    keeper.on_plan(state, target)

            self._interfaces = netlink.interfaces()
            report = self._enforcer.apply(resources, allow_empty=self._settings.allow_empty, on_plan=on_plan)
            if keeper:
                keeper.keep(report, self._enforcer.generation)
                if keeper.pending:
                    before = self.unconfirmed.before if self.unconfirmed else self.in_force or Resources()
                    self.unconfirmed = Unconfirmed(before, report.image.digest.hex())
        self.attachments = report.attachments
        return report

    def _check(self, state: State, target: Target, resources: Resources) -> None:
        """Refuse what would cut what must live.

        Raises:
            WouldCutError: it would.
        """
        if self._guard is None:
            return
        try:
            found = self._guard.check(state, target, self._enforcer.resolve(resources), resources)
        except BpfError as error:  # this kernel can not run programs by themselves
            _LOG.warning("what the change would cut is not known: %s", error)
            return
        for warning in found.warnings:
            _LOG.warning("%s", warning)
        if found.cuts:
            raise WouldCutError([str(cut) for cut in found.cuts], hint="pyxdp agent --force makes such changes")
