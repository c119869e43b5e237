"""Carrying out a plan: one operation after the other, and back again when one fails before the switch."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from pyxdp import planner
from pyxdp.dataplane.attempt import Attempt, Meanwhile, WayBack
from pyxdp.dataplane.bpffs import remove_empty, remove_tree
from pyxdp.dataplane.hooks import Hooks
from pyxdp.dataplane.objects import Objects
from pyxdp.dataplane.programs import Programs
from pyxdp.dataplane.records import Records
from pyxdp.dataplane.rules import Rules
from pyxdp.errors import PyxdpError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pyxdp.dataplane.grace import Grace
    from pyxdp.dataplane.halves import Halves
    from pyxdp.dataplane.setup import Setup
    from pyxdp.xtables import Tables

#: What can not be undone, and comes when there is nothing left to go back for.
_CLEAN_UP: Final = (
    planner.Detach,
    planner.UnpointPrograms,
    planner.RemovePrograms,
    planner.FreeEndpoints,
    planner.FreeNames,
    planner.RemoveObject,
    planner.RemovePins,
)
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

    def __init__(
        self,
        setup: Setup,
        state: planner.State,
        tables: Mapping[planner.TableSet, Tables],
        halves: Halves,
        grace: Grace,
    ) -> None:
        layout = self._layout = setup.layout
        self._objects = Objects(layout, setup.code, halves)
        self._programs = Programs(layout, setup.code)
        self._hooks = Hooks(layout)
        self._rules = Rules(layout, setup.iptables, state.rules, tables)
        self._records = Records(layout, state.current, halves)
        self._grace = grace
        self._way_back = WayBack()
        self._carry_out: Mapping[type, Callable[[Any, Attempt], None]] = {
            planner.CreateObject: self._create,
            planner.CopyMaps: self._objects.copy,
            planner.WriteEndpoints: self._records.write_endpoints,
            planner.LoadPrograms: self._programs.load,
            planner.FillEarly: self._programs.fill_early,
            planner.EmptyEarly: self._programs.empty_early,
            planner.AttachXdp: lambda operation, attempt: self._hooks.attach(operation, self._records, attempt),
            planner.RenameLink: self._hooks.rename,
            planner.MoveLink: self._hooks.move,
            planner.UpdateRules: self._rules.update,
            planner.RemoveRules: self._rules.remove,
            planner.PointPrograms: self._objects.point_programs,
            planner.PointMaps: self._objects.point_maps,
            planner.WriteNames: self._records.write_names,
            planner.AwaitGrace: lambda *_: self._grace.wait(),
            planner.FillSlot: self._records.fill,
            planner.Switch: lambda operation, _: self._switch(operation),
            planner.Detach: lambda operation, _: self._hooks.detach(operation),
            planner.UnpointPrograms: lambda operation, _: self._objects.unpoint_programs(operation),
            planner.RemovePrograms: lambda operation, _: self._objects.remove_programs(operation),
            planner.FreeEndpoints: lambda operation, _: self._records.free_endpoints(operation),
            planner.FreeNames: lambda operation, _: self._records.free_names(operation),
            planner.RemoveObject: lambda operation, _: self._objects.remove(operation),
            planner.RemovePins: lambda *_: self._remove_pins(),
        }

    def run(self, plan: planner.Plan, on_progress: Callable[[Step], None]) -> None:
        """Carry out the plan.

        Raises:
            PyxdpError: an operation failed. Before the switch everything is as it was; after it the new policy is in
                force, and the next apply finishes what is left.
        """
        with ExitStack() as held, Meanwhile() as meanwhile:
            try:
                for number, operation in enumerate(plan.operations, 1):
                    begun = Step(number, len(plan.operations), operation)
                    on_progress(begun)
                    if isinstance(operation, (planner.Switch, *_CLEAN_UP)):
                        meanwhile.wait()
                    if isinstance(operation, _CLEAN_UP):
                        self._way_back.give_up()
                    attempt = Attempt(_reporting(on_progress, begun), self._way_back, held, meanwhile)
                    self._grace.note(operation)
                    self._carry_out[type(operation)](operation, attempt)
                meanwhile.wait()
            except BaseException as error:
                meanwhile.abandon()
                self._go_back(error)
                raise

    def _go_back(self, error: BaseException) -> None:
        if not self._way_back.final:
            self._way_back.go()
            remove_empty(self._layout.links, self._layout.shown_programs, self._layout.objects)
            remove_empty(self._layout.base, self._layout.top)
        elif isinstance(error, PyxdpError):
            error.hint = "; ".join(filter(None, [error.hint, _IN_FORCE]))

    def _create(self, operation: planner.CreateObject, attempt: Attempt) -> None:
        self._objects.create(operation, attempt)
        self._records.object = operation.number

    def _switch(self, operation: planner.Switch) -> None:
        self._records.switch(operation)
        self._way_back.give_up()

    def _remove_pins(self) -> None:
        remove_tree(self._layout.base)
        remove_empty(self._layout.top)


def _reporting(on_progress: Callable[[Step], None], begun: Step) -> Callable[[float], None]:
    return lambda fraction: on_progress(replace(begun, fraction=fraction))
