"""What there is when a plan has been carried out, without reading it back. Pure."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from pyxdp.abi import Slot
from pyxdp.planner.operations import (
    AwaitGrace,
    CreateObject,
    FillSlot,
    FreeNames,
    LoadPrograms,
    Switch,
    WriteNames,
)
from pyxdp.planner.state import Early, Instance, LoadedObject, Rules, XdpLink

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pyxdp.abi import Endpoint
    from pyxdp.planner.operations import Plan
    from pyxdp.planner.state import State, Target

#: Operations on nothing but the maps of the object in force.
_ON_MAPS = (WriteNames, AwaitGrace, FillSlot, Switch, FreeNames)


def only_maps(plan: Plan) -> bool:
    """Whether a plan leaves links, rules, programs and objects alone."""
    return all(isinstance(operation, _ON_MAPS) for operation in plan.operations)


def settled(
    state: State, target: Target, plan: Plan, endpoints: Mapping[int, Endpoint], early: Early = Early.OFF
) -> State:
    """Return the state after a plan.

    Args:
        state: before it.
        target: that the plan was made for.
        plan: all of whose operations have been carried out.
        endpoints: the records; why XDP is not native somewhere is found out by trying.
        early: of the object in force now; whether the kernel loads the program is found out likewise. Not looked at
            if the plan is for maps only.
    """
    after = replace(state, tables=target.tables, names=dict(target.names), endpoints=dict(endpoints))
    for operation in plan.operations:
        if isinstance(operation, FillSlot):
            header = Slot(operation.generation, operation.applied_ns, operation.digest)
            slots = (header, state.slots[1]) if operation.slot == 0 else (state.slots[0], header)
            after = replace(after, slots=slots)
        elif isinstance(operation, Switch):
            after = replace(after, active=operation.slot)
    if only_maps(plan):
        return after
    return _outside(after, target, plan, early)


def _outside(state: State, target: Target, plan: Plan, early: Early) -> State:
    """Everything but maps, which the target decides alone."""
    loaded, number, answers = None, state.current, False
    for operation in plan.operations:
        if isinstance(operation, CreateObject):
            number, loaded = operation.number, LoadedObject(operation.build, dict(operation.capacities))
        elif isinstance(operation, LoadPrograms):
            answers = answers or operation.answer
    assert number is not None  # noqa: S101 - a plan that creates none has one in force
    loaded = loaded or state.objects[number]
    programs = {name: Instance(number, it.number) for name, it in sorted(target.interfaces.items())}
    endpoints = frozenset(it.endpoint for it in programs.values())
    rules = Rules(programs, target.settings)
    return replace(
        state,
        objects={number: replace(loaded, endpoints=endpoints, answers=loaded.answers or answers, early=early)},
        current=number,
        links={name: XdpLink(it.ifindex, programs[name]) for name, it in target.interfaces.items() if not it.pattern},
        programs=programs,
        rules=dict.fromkeys(target.table_sets, rules) if programs else {},
    )
