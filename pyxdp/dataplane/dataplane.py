"""The whole of it: read back, plan, check, carry out, report."""

from __future__ import annotations

import time
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pyxdp import netlink, planner
from pyxdp.abi import Limit
from pyxdp.compiler import MapImage, build_image, compile_rulesets
from pyxdp.dataplane import bpffs, early
from pyxdp.dataplane.code import Code
from pyxdp.dataplane.execution import Execution, Step
from pyxdp.dataplane.layout import Layout
from pyxdp.dataplane.preflight import check_interfaces, check_machine, check_plan
from pyxdp.dataplane.reading import own_links, read_state
from pyxdp.dataplane.rules import read_tables
from pyxdp.dataplane.status import Attachment, Status, read_attachments, read_status
from pyxdp.net import HookSettings
from pyxdp.xtables import Iptables, is_pattern

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterator, Mapping

    from pyxdp.resolver import EffectivePolicy
    from pyxdp.xtables import Tables

#: Identities that one image can have; the maps for them grow with their number.
_MAX_COUNTERS: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Report:
    """What an apply did, or with ``dry_run`` would do.

    Attributes:
        plan: the operations, in order.
        attachments: how XDP runs on each governed interface, with the reason where it is not native; sorted by name.
        durations: seconds spent in ``read``, ``compile``, ``plan``, ``check`` and ``execute``.
        dry_run: nothing was changed.
    """

    plan: planner.Plan
    attachments: tuple[Attachment, ...]
    durations: Mapping[str, float]
    dry_run: bool = False


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
        self._iptables = iptables or Iptables()
        self._log_per_second = log_per_second
        self._early_drop = early_drop
        self._lock_timeout = lock_timeout
        self._on_wait = on_wait

    @property
    def pins(self) -> Path:
        """Folder of everything that is pinned; ``maps`` in it is what people read."""
        return self._layout.base

    def read(self) -> planner.State:
        """Read back what there is.

        Raises:
            OperatorError: it is damaged, or belongs to another network namespace.
            BpfError: it can not be read.
        """
        return read_state(self._layout, read_tables(self._layout, self._iptables), netlink.devices())

    def apply(
        self,
        policy: EffectivePolicy,
        *,
        dry_run: bool = False,
        on_progress: Callable[[Step], None] = lambda _: None,
    ) -> Report:
        """Make the kernel enforce a policy: on all its endpoints at once, or not at all.

        Applying what is in force already plans nothing, and repairs what somebody else changed.

        Args:
            policy: for the interfaces of this network namespace as they are now.
            dry_run: only plan and check.
            on_progress: called before and during each operation.

        Raises:
            CapacityError: the policy is too large; nothing was changed.
            OperatorError: the machine is not ready; nothing was changed.
            BpfError: the kernel refused an operation. Everything was set back, unless the new policy is in force
                already: then the error says so, and the next apply cleans up.
        """
        clock = _Clock()
        with clock("check"):
            check_machine(self._layout.bpffs)
        with self._lock():
            with clock("read"):
                devices = {device.interface.name: device for device in netlink.devices()}
                tables = read_tables(self._layout, self._iptables)
                state = read_state(self._layout, tables, devices.values())
            with clock("compile"):
                check_interfaces((it.interface for it in policy.endpoints if not it.workloads), devices)
                image = _compiled(policy, state, {name: it.interface.index for name, it in devices.items()})
            with clock("plan"):
                plan = planner.plan(state, self._target(image, policy, state))
            with clock("check"):
                check_plan(plan, state, devices, self._iptables)
            with clock("execute"):
                if not dry_run:
                    self._execute(plan, state, tables, on_progress)
            attached = () if dry_run else read_attachments(self._layout)
        return Report(plan, attached, clock.seconds, dry_run=dry_run)

    def delete(self, *, dry_run: bool = False, on_progress: Callable[[Step], None] = lambda _: None) -> planner.Plan:
        """Remove everything: rules and chains of both iptables variants, links, pins, folders. Also what is damaged.

        Returns:
            What was done, or would be.

        Raises:
            OperatorError: it belongs to another network namespace, or the rules to another bpffs; nothing was removed.
            PyxdpError: something can not be removed; call again.
        """
        with self._lock():
            tables = read_tables(self._layout, self._iptables)
            ours = [table for table, there in tables.items() if not there.empty]
            links = own_links(self._layout, netlink.devices())
            plan = planner.plan_removal(ours, links, pins=self._layout.base.exists())
            if not dry_run:
                self._execute(plan, planner.State(), tables, on_progress)
        return plan

    def status(self) -> Status:
        """Return what is enforced now, with counters, and what differs from what should be.

        Raises:
            OperatorError: what is there is damaged, or belongs to another network namespace.
            BpfError: it can not be read.
        """
        state = self.read()
        settings = _settings(state)
        return read_status(self._layout, state, self._unchanged(state), settings, self._obstacle(settings, state))

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
        target = self._wanted(image, governed, state, _settings(state))
        return planner.plan(state, replace(target, digest=state.slots[state.active].digest))

    def _target(self, image: MapImage, policy: EffectivePolicy, state: planner.State) -> planner.Target:
        governed = {
            it.interface.name: planner.Governed(image.endpoints[it.interface.name], it.interface.index, it.name)
            for it in policy.endpoints
        }
        return self._wanted(image, governed, state, policy.actions)

    def _wanted(
        self,
        image: MapImage,
        governed: Mapping[str, planner.Governed],
        state: planner.State,
        settings: HookSettings,
    ) -> planner.Target:
        families = self._iptables.families if governed or state.rules else ()
        return planner.Target(
            build=self._code.build,
            tables=image.tables,
            digest=image.digest,
            names=image.names,
            interfaces=governed,
            table_sets=tuple(planner.TableSet(self._iptables.variant, family) for family in families),
            settings=settings,
            early=not self._obstacle(settings, state),
            conntrack=early.conntrack_is_loaded(),
            applied_ns=time.time_ns(),
        )

    def _obstacle(self, settings: HookSettings, state: planner.State) -> str:
        """Why there must be no early drop; empty when there may be."""
        return early.obstacle(self._code if self._early_drop else None, settings, state.tracking)

    @cached_property
    def _code(self) -> Code:
        return Code.shipped(self._log_per_second)

    def _execute(
        self,
        plan: planner.Plan,
        state: planner.State,
        tables: Mapping[planner.TableSet, Tables],
        on_progress: Callable[[Step], None],
    ) -> None:
        Execution(self._layout, self._iptables, self._code, state, tables).run(plan, on_progress)

    def _lock(self) -> AbstractContextManager[None]:
        return bpffs.exclusive(self._layout.bpffs, self._lock_timeout, self._on_wait)


class _Clock:
    """Seconds by phase."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def __call__(self, phase: str) -> Iterator[None]:
        begin = time.monotonic()
        try:
            yield
        finally:
            self.seconds[phase] = self.seconds.get(phase, 0.0) + time.monotonic() - begin


def _settings(state: planner.State) -> HookSettings:
    """The settings in force: those of rules that nobody damaged, if there are any."""
    ordered = sorted(state.rules.values(), key=lambda rules: not rules.intact)
    return ordered[0].settings if ordered else HookSettings()


def _compiled(policy: EffectivePolicy, state: planner.State, ifindexes: Mapping[str, int]) -> MapImage:
    """Compile so that identities and interfaces that live on keep their numbers."""
    rulesets = compile_rulesets(policy)
    identities = {name.identity: index for index, name in state.names.items()}
    counters = planner.assign(identities, rulesets.identities, limit=_MAX_COUNTERS, what="rules")
    wanted = [endpoint.interface for endpoint in rulesets.endpoints]
    known, limit = planner.known_numbers(state, ifindexes), int(Limit.ENDPOINTS)
    numbers = planner.assign(known, wanted, limit=limit, what="governed interfaces", taken=state.endpoints)
    return build_image(rulesets, counters, numbers)
