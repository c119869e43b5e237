"""A model of the kernel side: what each operation of a plan does to pins, links, rules and maps.

It knows nothing of how plans are made. Maps are objects that several pinned objects may share, as in the kernel; what
is pinned nowhere any more lives on while a link or a rule runs it.
"""

from __future__ import annotations

import re
from copy import deepcopy
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from pyxdp import planner
from pyxdp.abi import Endpoint, Name, Slot

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pyxdp.net import HookSettings


@dataclass
class SlottedMap:
    halves: list[bytes] = field(default_factory=lambda: [b"", b""])


@dataclass
class Control:
    active: int = 0
    slots: list[Slot] = field(default_factory=lambda: [planner.EMPTY_SLOT, planner.EMPTY_SLOT])
    graces: int = 0


@dataclass
class Loaded:
    """An object in kernel memory, whether pinned or not."""

    build: str
    capacities: dict[str, int]
    maps: dict[str, SlottedMap]
    control: Control
    names: dict[int, Name]
    endpoints: dict[int, Endpoint]
    pinned_programs: set[int] = field(default_factory=set)
    answers: bool = False
    early: planner.Early = planner.Early.OFF

    def tables(self, slot: int) -> dict[str, bytes]:
        return {name: table.halves[slot] for name, table in self.maps.items()}


@dataclass(frozen=True)
class Program:
    """Code of one object for one endpoint. Compared by identity of the object."""

    loaded: Loaded
    endpoint: int


@dataclass
class Link:
    ifindex: int
    program: Program


@dataclass
class Rules:
    """What one set of tables holds."""

    programs: dict[str, Program]
    settings: HookSettings


@dataclass
class World:
    """The kernel side.

    Attributes:
        refuses_early: the kernel does not load the program for early drop.
        conntrack: it has loaded connection tracking.
    """

    refuses_early: bool = False
    conntrack: bool = False
    objects: dict[int, Loaded] = field(default_factory=dict)
    current: int | None = None
    links: dict[str, Link] = field(default_factory=dict)
    symlinks: dict[str, planner.Instance] = field(default_factory=dict)
    rules: dict[planner.TableSet, Rules] = field(default_factory=dict)
    damaged: set[planner.TableSet] = field(default_factory=set)

    def copy(self) -> World:
        return deepcopy(self)

    # -- reading back --

    def state(self) -> planner.State:
        outside = planner.State(
            objects=self._objects(),
            links={name: planner.XdpLink(it.ifindex, self._instance(it.program)) for name, it in self.links.items()},
            programs=dict(self.symlinks),
            rules={table: self._rules(table) for table in self.rules},
        )
        if self.current is None:
            return outside
        loaded = self._base
        control = loaded.control
        return replace(
            outside,
            current=self.current,
            active=control.active,
            slots=(control.slots[0], control.slots[1]),
            tables=loaded.tables(control.active),
            names=dict(loaded.names),
            endpoints=dict(loaded.endpoints),
        )

    def _objects(self) -> dict[int, planner.LoadedObject]:
        return {
            number: planner.LoadedObject(
                it.build, dict(it.capacities), frozenset(it.pinned_programs), it.answers, it.early
            )
            for number, it in self.objects.items()
        }

    def _instance(self, program: Program) -> planner.Instance | None:
        for number, loaded in self.objects.items():
            if loaded is program.loaded and program.endpoint in loaded.pinned_programs:
                return planner.Instance(number, program.endpoint)
        return None

    def _rules(self, table: planner.TableSet) -> planner.Rules:
        there = self.rules[table]
        instances = {name: self._instance(program) for name, program in there.programs.items()}
        known = {name: it for name, it in instances.items() if it is not None}
        intact = table not in self.damaged and len(known) == len(instances)
        return planner.Rules(known, there.settings, intact)

    # -- what a packet meets --

    def judged_by(self, program: Program) -> tuple[dict[str, bytes], int]:
        """The tables that a program reads, and as which endpoint."""
        return program.loaded.tables(program.loaded.control.active), program.endpoint

    def programs(self) -> Iterator[tuple[str, str, Program]]:
        """Everything that can run: (hook, interface, program)."""
        for name, link in self.links.items():
            if link.ifindex:
                yield "xdp", name, link.program
        for table, rules in self.rules.items():
            for name, program in rules.programs.items():
                yield str(table), name, program

    # -- operations --

    def carry_out(self, operation: planner.Operation) -> None:
        kind = re.sub(r"(?<!^)(?=[A-Z])", "_", type(operation).__name__).lower()
        getattr(self, f"do_{kind}")(operation)

    @property
    def _base(self) -> Loaded:
        assert self.current is not None
        return self.objects[self.current]

    def _newest(self) -> Loaded:
        """Records are written to the maps of the newest object, which are shared unless it has its own."""
        return self.objects[max(self.objects)]

    def _program(self, instance: planner.Instance) -> Program:
        loaded = self.objects[instance.object]
        assert instance.endpoint in loaded.pinned_programs, f"{instance} is not loaded"
        return Program(loaded, instance.endpoint)

    def do_create_object(self, op: planner.CreateObject) -> None:
        assert op.number not in self.objects
        capacities = dict(op.capacities)
        if op.source is None:
            maps = {name: SlottedMap() for name in planner.ENTRY_BYTES}
            self.objects[op.number] = Loaded(op.build, capacities, maps, Control(), {}, {})
            return
        old = self.objects[op.source]
        maps = {name: SlottedMap() if name in op.own else table for name, table in old.maps.items()}
        names = {} if "names" in op.own else old.names
        self.objects[op.number] = Loaded(op.build, capacities, maps, old.control, names, old.endpoints)

    def do_copy_maps(self, op: planner.CopyMaps) -> None:
        old, new = self.objects[op.source], self.objects[op.target]
        assert old.control.active == op.slot
        for name in op.maps:
            if name in old.maps:
                new.maps[name].halves[op.slot] = old.maps[name].halves[op.slot]
            elif name == "names":
                new.names.update(old.names)

    def do_write_endpoints(self, op: planner.WriteEndpoints) -> None:
        for name, it in op.endpoints.items():
            self._newest().endpoints[it.number] = Endpoint(it.ifindex, 0, name, it.host_endpoint)

    def do_load_programs(self, op: planner.LoadPrograms) -> None:
        loaded = self.objects[op.object]
        for name, it in op.endpoints.items():
            assert loaded.endpoints[it.number].interface == name, "loaded by what the record says"
            assert it.number not in loaded.pinned_programs
            loaded.pinned_programs.add(it.number)
        assert op.endpoints or op.answer
        loaded.answers = loaded.answers or op.answer

    def do_fill_early(self, op: planner.FillEarly) -> None:
        assert self.conntrack, "what the kernel has of connection tracking is not there yet"
        assert self.objects[op.object].early is planner.Early.OFF
        self.objects[op.object].early = planner.Early.REFUSED if self.refuses_early else planner.Early.ON

    def do_empty_early(self, op: planner.EmptyEarly) -> None:
        assert self.objects[op.object].early is planner.Early.ON
        self.objects[op.object].early = planner.Early.OFF

    def do_attach_xdp(self, op: planner.AttachXdp) -> None:
        there = self.links.get(op.interface)
        assert there is None or there.ifindex != op.ifindex, "nothing to do"
        assert all(link.ifindex != op.ifindex for link in self.links.values()), "EBUSY"
        self.links[op.interface] = Link(op.ifindex, self._program(op.instance))
        record = self._newest().endpoints[op.instance.endpoint]
        self._newest().endpoints[op.instance.endpoint] = record._replace(ifindex=op.ifindex)

    def do_rename_link(self, op: planner.RenameLink) -> None:
        there = self.links.get(op.interface)
        assert there is None or not there.ifindex
        self.links[op.interface] = self.links.pop(op.before)

    def do_move_link(self, op: planner.MoveLink) -> None:
        assert self.links[op.interface].ifindex, "ENOLINK"
        self.links[op.interface].program = self._program(op.instance)

    def do_update_rules(self, op: planner.UpdateRules) -> None:
        assert op.programs
        self.conntrack = True
        for table in op.tables:
            self.rules[table] = Rules({name: self._program(it) for name, it in op.programs.items()}, op.settings)
            self.damaged.discard(table)

    def do_remove_rules(self, op: planner.RemoveRules) -> None:
        assert op.tables
        for table in op.tables:
            del self.rules[table]
            self.damaged.discard(table)

    def do_point_programs(self, op: planner.PointPrograms) -> None:
        self.symlinks[op.interface] = op.instance

    def do_point_maps(self, op: planner.PointMaps) -> None:
        self.current = op.object

    def do_write_names(self, op: planner.WriteNames) -> None:
        self._newest().names.update(op.names)

    def do_await_grace(self, _: planner.AwaitGrace) -> None:
        self._newest().control.graces = 1

    def do_fill_slot(self, op: planner.FillSlot) -> None:
        control = self._base.control
        assert op.slot != control.active, "fills the slot in force"
        unread = control.slots[control.active].generation == 0
        assert control.graces or unread, "an earlier program run may still read the slot"
        for name, table in self._base.maps.items():
            table.halves[op.slot] = op.tables.get(name, b"").rstrip(b"\0")
            room = self._base.capacities[name] * planner.ENTRY_BYTES[name]
            assert len(op.tables.get(name, b"")) <= room, "does not fit"
        control.slots[op.slot] = Slot(op.generation, op.applied_ns, op.digest)

    def do_switch(self, op: planner.Switch) -> None:
        control = self._base.control
        assert control.slots[op.slot].generation == op.generation
        control.active, control.graces = op.slot, 0

    def do_detach(self, op: planner.Detach) -> None:
        del self.links[op.interface]

    def do_unpoint_programs(self, op: planner.UnpointPrograms) -> None:
        del self.symlinks[op.interface]

    def do_remove_programs(self, op: planner.RemovePrograms) -> None:
        self.objects[op.instance.object].pinned_programs.remove(op.instance.endpoint)

    def do_free_endpoints(self, op: planner.FreeEndpoints) -> None:
        assert self._base.control.graces
        for number in op.numbers:
            del self._base.endpoints[number]

    def do_free_names(self, op: planner.FreeNames) -> None:
        assert self._base.control.graces
        for index in op.indexes:
            del self._base.names[index]

    def do_remove_object(self, op: planner.RemoveObject) -> None:
        assert op.number != self.current
        assert self._base.control.graces, "a question may still be asked"
        assert all(program.loaded is not self.objects[op.number] for _, _, program in self.programs())
        del self.objects[op.number]

    def do_remove_pins(self, _: planner.RemovePins) -> None:
        self.objects.clear()
        self.current = None
        self.symlinks.clear()


def intended(target: planner.Target) -> Mapping[str, bytes]:
    return {name: target.tables.get(name, b"").rstrip(b"\0") for name in planner.ENTRY_BYTES}
