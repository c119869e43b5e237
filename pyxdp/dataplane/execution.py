"""Carrying out a plan: one operation after the other, and back again when one fails before the switch."""

from __future__ import annotations

import logging
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from pyxdp import bpf, planner
from pyxdp.dataplane.bpffs import remove_empty, remove_tree
from pyxdp.dataplane.hooks import Hooks
from pyxdp.dataplane.objects import Objects
from pyxdp.dataplane.records import Records
from pyxdp.errors import PyxdpError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pyxdp.dataplane.code import Code
    from pyxdp.dataplane.layout import Layout
    from pyxdp.dataplane.objects import Undo
    from pyxdp.xtables import Iptables

_LOG = logging.getLogger(__name__)

_IN_FORCE: Final = "the new policy is in force; apply again to clean up"


@dataclass(frozen=True, slots=True)
class Step:
    """How far a plan is carried out.

    Attributes:
        number: of the operation that is being carried out, from 1.
        total: operations of the plan.
        operation: what is being done.
        fraction: of this operation, from 0 to 1.
    """

    number: int
    total: int
    operation: planner.Operation
    fraction: float = 0.0


class Execution:
    """One run of one plan."""

    def __init__(self, layout: Layout, iptables: Iptables, code: Code, state: planner.State) -> None:
        self._layout = layout
        self._iptables = iptables
        self._objects = Objects(layout, code)
        self._hooks = Hooks(layout)
        self._rules = dict(state.rules)
        self._number = state.current
        self._held = ExitStack()
        self._carry_out: Mapping[type, Callable[[Any, Callable[[float], None]], Undo | None]] = {
            planner.CreateObject: self._create,
            planner.CopyMaps: self._objects.copy,
            planner.WriteEndpoints: lambda operation, _: self._records.write_endpoints(operation),
            planner.LoadPrograms: self._objects.load,
            planner.AttachXdp: lambda operation, advance: self._hooks.attach(operation, self._records, advance),
            planner.MoveLink: lambda operation, _: self._hooks.move(operation, self._held),
            planner.UpdateRules: lambda operation, _: self._update_rules(operation),
            planner.RemoveRules: lambda operation, _: self._remove_rules(operation),
            planner.PointPrograms: lambda operation, _: self._objects.point_programs(operation),
            planner.PointMaps: lambda operation, _: self._objects.point_maps(operation),
            planner.WriteNames: lambda operation, _: self._records.write_names(operation),
            planner.AwaitGrace: lambda _operation, _: bpf.grace_period(),
            planner.FillSlot: self._fill,
            planner.Switch: lambda operation, _: self._records.switch(operation),
            planner.Detach: lambda operation, _: self._hooks.detach(operation),
            planner.UnpointPrograms: lambda operation, _: self._objects.unpoint_programs(operation),
            planner.RemovePrograms: lambda operation, _: self._objects.remove_programs(operation),
            planner.FreeEndpoints: lambda operation, _: self._records.free_endpoints(operation),
            planner.FreeNames: lambda operation, _: self._records.free_names(operation),
            planner.RemoveObject: lambda operation, _: self._objects.remove(operation),
            planner.RemovePins: lambda _operation, _: self._remove_pins(),
        }

    def run(self, plan: planner.Plan, on_progress: Callable[[Step], None]) -> None:
        """Carry out the plan.

        Raises:
            PyxdpError: an operation failed. Before the switch everything is as it was; after it the new policy is in
                force, and the next apply finishes what is left.
        """
        undos: list[Undo] = []
        switched = False
        total = len(plan.operations)
        with self._held:
            try:
                for number, operation in enumerate(plan.operations, 1):
                    on_progress(Step(number, total, operation))
                    undo = self._carry_out[type(operation)](operation, _advance(on_progress, number, total, operation))
                    switched = switched or isinstance(operation, planner.Switch)
                    if undo and not switched:
                        undos.append(undo)
            except BaseException as error:
                if not switched:
                    _undo_all(undos)
                elif isinstance(error, PyxdpError):
                    error.hint = "; ".join(filter(None, [error.hint, _IN_FORCE]))
                raise

    @property
    def _records(self) -> Records:
        if self._number is None:
            raise ValueError("the plan writes records before it creates an object")
        return Records(self._layout, self._number)

    def _create(self, operation: planner.CreateObject, advance: Callable[[float], None]) -> Undo:
        undo = self._objects.create(operation, advance)
        self._number = operation.number
        return undo

    def _fill(self, operation: planner.FillSlot, advance: Callable[[float], None]) -> None:
        self._records.fill(operation, advance)

    def _update_rules(self, operation: planner.UpdateRules) -> Undo:
        table = operation.table
        folders = {name: str(self._layout.programs(it)) for name, it in operation.programs.items()}
        self._iptables.write(table.family, folders, table.variant)
        return self._restore_rules(table)

    def _remove_rules(self, operation: planner.RemoveRules) -> Undo:
        self._iptables.remove(operation.table.family, operation.table.variant)
        return self._restore_rules(operation.table)

    def _restore_rules(self, table: planner.RawTable) -> Undo:
        before = self._rules.get(table)
        folders = {name: str(self._layout.programs(it)) for name, it in before.programs.items()} if before else {}

        def undo() -> None:
            if folders:
                self._iptables.write(table.family, folders, table.variant)
            else:
                self._iptables.remove(table.family, table.variant)

        return undo

    def _remove_pins(self) -> None:
        remove_tree(self._layout.base)
        remove_empty(self._layout.top)


def _advance(
    on_progress: Callable[[Step], None], number: int, total: int, operation: planner.Operation
) -> Callable[[float], None]:
    return lambda fraction: on_progress(Step(number, total, operation, fraction))


def _undo_all(undos: list[Undo]) -> None:
    """Go back step by step. What can not be undone enforces nothing new; the next apply finds and removes it."""
    for undo in reversed(undos):
        try:
            undo()
        except PyxdpError as error:  # noqa: PERF203 - each one by itself
            _LOG.warning("while going back: %s", error)
