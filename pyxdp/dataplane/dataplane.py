"""What everybody else sees of the dataplane."""

from __future__ import annotations

from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pyxdp import netlink, planner
from pyxdp.compiler import MapImage
from pyxdp.dataplane.bpffs import exclusive
from pyxdp.dataplane.execution import Execution, Step
from pyxdp.dataplane.grace import Grace
from pyxdp.dataplane.halves import Halves
from pyxdp.dataplane.layout import Layout
from pyxdp.dataplane.reading import own_links, read_state
from pyxdp.dataplane.rules import read_tables
from pyxdp.dataplane.session import Report, Session
from pyxdp.dataplane.setup import Setup
from pyxdp.dataplane.status import Status, read_status
from pyxdp.dataplane.token import read_token
from pyxdp.errors import PyxdpError
from pyxdp.net import HookSettings
from pyxdp.xtables import Iptables, is_pattern

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Mapping

    from pyxdp.dataplane.session import OnPlan, OnProgress
    from pyxdp.resolver import EffectivePolicy
    from pyxdp.xtables import Tables

#: Seconds that a look at what is being changed waits for the end of the change.
_STATUS_WAITS: Final = 5.0


class Dataplane:
    """The pins below one bpffs, and the XDP links and iptables rules of this thread's network namespace.

    Nothing is kept between calls: every one reads back what the kernel holds. Methods that change something take a
    lock, so that two processes never do at once.
    """

    def __init__(  # noqa: PLR0913 -- settings, each by its name
        self,
        root: str | os.PathLike[str] = "/sys/fs/bpf",
        *,
        iptables: Iptables | None = None,
        log_per_second: int = 100,
        early_drop: bool = True,
        lock_timeout: float = 30.0,
        on_wait: Callable[[], None] = lambda: None,
    ) -> None:
        """Describe a dataplane; nothing is read or changed.

        Args:
            root: where the bpffs is mounted, or a folder in it.
            iptables: which variant; by default that of the machine's ``iptables``.
            log_per_second: Log events that each CPU may emit a second; the rest is counted.
            early_drop: XDP drops what pre-DNAT and normal policy deny for certain, if the kernel can.
            lock_timeout: seconds to wait for another process.
            on_wait: called once when there is another process to wait for.
        """
        self._layout = Layout(Path(root))
        self._setup = Setup(self._layout, iptables or Iptables(), log_per_second, early_drop, lock_timeout, on_wait)

    @property
    def bpffs(self) -> Path:
        """Where the bpffs is mounted, or the folder in it."""
        return self._layout.bpffs

    @property
    def pins(self) -> Path:
        """Folder of everything that is pinned; ``maps`` in it is what people read."""
        return self._layout.base

    def session(self) -> Session:
        """Return what makes many changes, one after the other, faster than :meth:`apply` for each; close it."""
        return Session(self._setup)

    def read(self) -> planner.State:
        """Read back what there is.

        Raises:
            OperatorError: it is damaged, or belongs to another network namespace.
            BpfError: it can not be read.
        """
        return self._read(read_tables(self._layout, self._setup.iptables))

    def _read(self, tables: Mapping[planner.TableSet, Tables]) -> planner.State:
        with closing(Halves(self._layout)) as halves:
            return read_state(self._layout, tables, netlink.devices(), halves)

    def digest(self) -> str:
        """Return SHA-256 of the map image in force, hexadecimal; empty when nothing is. Takes less than a millisecond.

        Raises:
            BpfError: it can not be read.
        """
        token = read_token(self._layout)
        return token.digest if token else ""

    def apply(
        self,
        policy: EffectivePolicy,
        *,
        dry_run: bool = False,
        on_plan: OnPlan = lambda *_: None,
        on_progress: OnProgress = lambda _: None,
    ) -> Report:
        """Make the kernel enforce a policy: on all its endpoints at once, or not at all.

        Applying what is in force already plans nothing, and repairs what somebody else changed. This is
        :meth:`Session.apply` in a session of its own.

        Args:
            policy: for the interfaces of this network namespace as they are now.
            dry_run: only plan and check.
            on_plan: called when it is known what will be done, with what there is and what will be, and the lock held.
            on_progress: called before and during each operation.

        Raises:
            CapacityError: the policy is too large; nothing was changed.
            OperatorError: the machine is not ready; nothing was changed.
            BpfError: the kernel refused an operation. Everything was set back, unless the new policy is in force
                already: then the error says so, and the next apply cleans up.
        """
        with self.session() as session:
            return session.apply(policy, dry_run=dry_run, on_plan=on_plan, on_progress=on_progress)

    def delete(self, *, dry_run: bool = False, on_progress: Callable[[Step], None] = lambda _: None) -> planner.Plan:
        """Remove everything: rules and chains of both iptables variants, links, pins, folders. Also what is damaged.

        Returns:
            What was done, or would be.

        Raises:
            OperatorError: it belongs to another network namespace, or the rules to another bpffs; nothing was removed.
            PyxdpError: something can not be removed; call again.
        """
        with self._setup.lock():
            tables = read_tables(self._layout, self._setup.iptables)
            ours = [table for table, there in tables.items() if not there.empty]
            links = own_links(self._layout, netlink.devices())
            plan = planner.plan_removal(ours, links, pins=self._layout.base.exists())
            if not dry_run:
                with closing(Halves(self._layout)) as halves:
                    Execution(self._setup, planner.State(), tables, halves, Grace()).run(plan, on_progress)
        return plan

    def status(self, *, drift: bool = True) -> Status:
        """Return what is enforced now, with counters, and what differs from what should be.

        Args:
            drift: without it, rules of iptables are not looked at, which takes most of the time: ``tables``,
                ``settings``, ``drift`` and the ``hooks`` but for XDP stay empty, and why early drop is off is not told.

        Raises:
            OperatorError: what is there is damaged, or belongs to another network namespace.
            BpfError: it can not be read.
        """
        try:
            return self._status(drift=drift)
        except PyxdpError as error:
            return self._status_at_rest(error, drift=drift)

    def _status_at_rest(self, error: PyxdpError, *, drift: bool) -> Status:
        """Look once more while nobody changes anything: what somebody was just replacing is no fault."""
        with ExitStack() as stack:
            try:
                stack.enter_context(exclusive(self._layout.bpffs, _STATUS_WAITS, lambda: None))
            except PyxdpError:
                raise error from None
            return self._status(drift=drift)

    def _status(self, *, drift: bool) -> Status:
        if not drift:
            state = self._read({})
            return read_status(self._layout, state, planner.Plan(), HookSettings(), "it was not looked for")
        state = self.read()
        settings = _settings(state)
        return read_status(self._layout, state, self._unchanged(state), settings, self._setup.obstacle(settings, state))

    def _unchanged(self, state: planner.State) -> planner.Plan:
        """What applying the policy in force once more would do."""
        if state.current is None:
            return planner.plan_removal(state.rules, state.links, pins=self._layout.base.exists())
        indexes = {interface.name: interface.index for interface in netlink.interfaces()}
        governed = {
            name: planner.Governed(number, indexes.get(name, 0), state.endpoints[number].name)
            for name, number in planner.known_numbers(state, indexes).items()
            if name in indexes or is_pattern(name)
        }
        image = MapImage(state.tables, state.names)
        target = self._setup.wanted(image, governed, state, _settings(state))
        return planner.plan(state, replace(target, digest=state.slots[state.active].digest))


def _settings(state: planner.State) -> HookSettings:
    """The settings in force: those of rules that nobody damaged, if there are any."""
    ordered = sorted(state.rules.values(), key=lambda rules: not rules.intact)
    return ordered[0].settings if ordered else HookSettings()
