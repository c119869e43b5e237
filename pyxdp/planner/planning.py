"""From what there is and what there should be to the operations in between. Pure.

The order is that of "A change is one store" in ``docs/design/architecture.md``. What every prefix of a plan keeps true,
so that a process may die after any operation:

* until :class:`Switch`, every governed interface is judged by the old policy; after it, by the new one;
* whoever reads the state back then and plans again reaches the target.

All objects share ``control``, ``slots`` and ``rulesets``, whose sizes never change. So a switch is one store for all
of them, and an interface that the new policy lets go passes its packets from then on, whichever object it runs on.
Every governed interface must run on the target's object by then: others have nothing new in the halves that they do
not share.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Final

from pyxdp.planner.capacity import ENTRY_BYTES, capacities, needed
from pyxdp.planner.content import same
from pyxdp.planner.operations import (
    AttachXdp,
    AwaitGrace,
    CopyMaps,
    CreateObject,
    Detach,
    EmptyEarly,
    FillEarly,
    FillSlot,
    FreeEndpoints,
    FreeNames,
    LoadPrograms,
    MoveLink,
    Plan,
    PointMaps,
    PointPrograms,
    RemoveObject,
    RemovePins,
    RemovePrograms,
    RemoveRules,
    RenameLink,
    Switch,
    UnpointPrograms,
    UpdateRules,
    WriteEndpoints,
    WriteNames,
)
from pyxdp.planner.state import Early, Instance, LoadedObject, Rules

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from pyxdp.abi import Endpoint
    from pyxdp.planner.operations import Operation
    from pyxdp.planner.state import Governed, State, TableSet, Target

#: Behind the name of a link that makes way for another; no interface that policy can name has it.
_ASIDE: Final = "~"


def plan(state: State, target: Target) -> Plan:
    """Return what makes ``state`` what ``target`` says; empty when it is that already.

    Raises:
        ValueError: the target gives a number that is in use to another identity or interface.
    """
    _check_numbers(state, target)
    return Plan(tuple(_Planning(state, target).operations()))


def known_numbers(state: State, ifindexes: Mapping[str, int]) -> dict[str, int]:
    """Return the endpoint number that each interface has, for :func:`~pyxdp.planner.assign`.

    An interface that was renamed keeps the number that its link runs with, so that it is never without its policy.

    Args:
        state: as read back.
        ifindexes: of the interfaces that there are, by the names that they have now.
    """
    names = {ifindex: name for name, ifindex in ifindexes.items()}
    running = {}
    for pin, link in state.links.items():
        name, number = names.get(link.ifindex), link.instance.endpoint if link.instance else -1
        if name is not None and number in state.endpoints and state.endpoints[number].interface in (pin, name):
            running[name] = number
    recorded = {record.interface: number for number, record in state.endpoints.items()}
    return {name: number for name, number in recorded.items() if number not in running.values()} | running


def _renamed(state: State, ifindexes: Mapping[str, int]) -> dict[str, str]:
    """Interfaces whose link is pinned under a name that they no longer have, with that name."""
    live = {link.ifindex: name for name, link in state.links.items() if link.ifindex}
    return {name: live[index] for name, index in ifindexes.items() if live.get(index, name) != name}


def plan_removal(tables: Iterable[TableSet], links: Iterable[str], *, pins: bool) -> Plan:
    """Return what removes everything.

    Args:
        tables: sets of tables that hold anything of ours.
        links: interfaces with a pinned link.
        pins: whether any of our directories exists.
    """
    found = tuple(sorted(tables))
    operations: list[Operation] = [RemoveRules(found)] if found else []
    operations += [Detach(interface) for interface in sorted(links)]
    # With the pins the answers go: not before the last question has been asked.
    operations += [AwaitGrace()] if found and pins else []
    return Plan((*operations, *([RemovePins()] if pins else [])))


def _check_numbers(state: State, target: Target) -> None:
    renamed = _renamed(state, _ifindexes(target))
    for index, name in target.names.items():
        known_name = state.names.get(index, name)
        if known_name is not name and known_name.identity != name.identity:
            raise ValueError(f"counter {index} belongs to another rule")
    for interface, governed in target.interfaces.items():
        known = state.endpoints.get(governed.number)
        if known and known.interface not in (interface, renamed.get(interface)):
            raise ValueError(f"endpoint number {governed.number} belongs to {known.interface}")


@dataclass(frozen=True)
class _Planning:
    """One planning: the two ends, and what follows from them."""

    state: State
    target: Target

    def operations(self) -> Iterator[Operation]:
        yield from self._grow()
        yield from self._early(self.target.conntrack)
        yield from self._attach()
        yield from self._early(not self.target.conntrack)
        yield from self._fill_and_switch()
        yield from self._clean_up()

    # -- what follows from the two ends --

    @cached_property
    def base(self) -> LoadedObject | None:
        """The object in force."""
        return None if self.state.current is None else self.state.objects[self.state.current]

    @cached_property
    def capacities(self) -> dict[str, int]:
        have = self.base.capacities if self.base else {}
        return capacities(needed(self.target.tables, self.target.names), have)

    @cached_property
    def own(self) -> tuple[str, ...]:
        """Maps of the object in force that are too small."""
        have = self.base.capacities if self.base else {}
        return tuple(name for name, count in self.capacities.items() if have.get(name) != count)

    @cached_property
    def new_object(self) -> bool:
        return self.base is None or bool(self.own) or self.base.build != self.target.build

    @cached_property
    def object(self) -> int:
        """Number of the object that is to be in force."""
        if self.state.current is not None and not self.new_object:
            return self.state.current
        return max(self.state.objects, default=0) + 1

    @cached_property
    def there(self) -> LoadedObject:
        """The object that is to be in force, as it is now."""
        return self.state.objects.get(self.object, LoadedObject(""))

    @cached_property
    def in_force(self) -> bool:
        """Whether the active slot holds the target's image already."""
        header, there, wanted = self.state.slots[self.state.active], self.state.tables, self.target.tables
        claimed = bool(header.generation) and header.digest == self.target.digest
        return claimed and all(same(there.get(name, b""), wanted.get(name, b"")) for name in ENTRY_BYTES)

    @cached_property
    def wanted(self) -> dict[str, Instance]:
        return {name: self.instance(it.number) for name, it in sorted(self.target.interfaces.items())}

    @cached_property
    def attached(self) -> dict[str, Instance]:
        """Those of ``wanted`` that have a link."""
        return {name: it for name, it in self.wanted.items() if not self.target.interfaces[name].pattern}

    @cached_property
    def renamed(self) -> dict[str, str]:
        """Wanted interfaces that have a link under another name, with that name."""
        return _renamed(self.state, _ifindexes(self.target))

    @cached_property
    def written_first(self) -> dict[str, Governed]:
        """Endpoints whose record must be there before a program runs: new ones, and those of another interface."""
        known = {number: record.interface for number, record in self.state.endpoints.items()}
        return {name: it for name, it in sorted(self.target.interfaces.items()) if known.get(it.number) != name}

    @cached_property
    def loads(self) -> dict[str, Governed]:
        """Endpoints whose programs the object lacks."""
        there = self.there.endpoints
        return {name: it for name, it in sorted(self.target.interfaces.items()) if it.number not in there}

    @cached_property
    def rules_until_switch(self) -> Rules:
        """The rules that are wanted, and those of interfaces that stay governed until the switch, wherever they are."""
        programs = {name: it for _, rules in sorted(self.state.rules.items()) for name, it in rules.programs.items()}
        return Rules(dict(sorted({**programs, **self.wanted}.items())), self.target.settings)

    def instance(self, number: int) -> Instance:
        return Instance(self.object, number)

    # -- the stages --

    def _grow(self) -> Iterator[Operation]:
        if not self.new_object:
            return
        source = self.state.current
        own = self.own if source is not None else ()
        yield CreateObject(self.object, self.target.build, self.capacities, source, own)
        if source is not None and own:
            yield CopyMaps(source, self.object, self.state.active, own)

    def _attach(self) -> Iterator[Operation]:
        if self.written_first:
            yield WriteEndpoints(self.written_first)
        answer = bool(self.wanted) and not self.there.answers
        if self.loads or answer:
            yield LoadPrograms(self.object, self.loads, answer)
        yield from self._links()
        yield from _rules(self.target.table_sets, self.state.rules, self.rules_until_switch)
        elsewhere = tuple(sorted(set(self.state.rules) - set(self.target.table_sets)))
        if elsewhere:
            yield RemoveRules(elsewhere)
        yield from (PointPrograms(name, it) for name, it in self.wanted.items() if self.state.programs.get(name) != it)
        if self.state.current != self.object:
            yield PointMaps(self.object)

    def _early(self, now: bool) -> Iterator[Operation]:  # noqa: FBT001
        """As early as possible, since loading the program for it takes longest of all."""
        if not now:
            return
        if self.target.early and self.there.early is Early.OFF and self.attached:
            yield FillEarly(self.object)
        elif not self.target.early and self.there.early is Early.ON:
            yield EmptyEarly(self.object)

    def _links(self) -> Iterator[Operation]:
        yield from self._renames[0]
        for name, instance in self.attached.items():
            link = self.state.links.get(self.renamed.get(name, name))
            ifindex = self.target.interfaces[name].ifindex
            if link is None or link.ifindex != ifindex:
                yield AttachXdp(name, ifindex, instance)
            elif link.instance != instance:
                yield MoveLink(name, instance)

    @cached_property
    def _renames(self) -> tuple[list[RenameLink], list[str]]:
        """Give links the names of their interfaces; second: where those wait that made way, and that nobody wants."""
        operations: list[RenameLink] = []
        live = {name for name, link in self.state.links.items() if link.ifindex}
        waiting, parked = dict(self.renamed), list[str]()

        def rename(before: str, name: str) -> None:
            operations.append(RenameLink(before, name))
            live.symmetric_difference_update((before, name))

        while waiting:
            name = next((name for name in waiting if name not in live), "")
            if name:
                rename(waiting.pop(name), name)
                continue
            name = aside = next(iter(waiting))
            while aside in live:
                aside += _ASIDE
            rename(name, aside)
            other = next((other for other, before in waiting.items() if before == name), None)
            if other is None:
                parked.append(aside)
            else:
                waiting[other] = aside
        return operations, parked

    def _fill_and_switch(self) -> Iterator[Operation]:
        state, target = self.state, self.target
        new = {index: name for index, name in target.names.items() if index not in state.names}
        if new:
            yield WriteNames(new)
        if self.in_force:
            return
        slot, generation = 1 - state.active, max(header.generation for header in state.slots) + 1
        if state.slots[state.active].generation:  # otherwise there was never a switch, and nobody read the spare slot
            yield AwaitGrace()
        yield FillSlot(slot, generation, target.applied_ns, target.digest, target.tables)
        yield Switch(slot, generation)

    def _clean_up(self) -> Iterator[Operation]:
        state = self.state
        if self.rules_until_switch.programs != self.wanted:
            before = dict.fromkeys(self.target.table_sets, self.rules_until_switch)
            yield from _rules(self.target.table_sets, before, Rules(self.wanted, self.target.settings))
        kept = {*self.wanted, *self.renamed.values()}
        yield from (Detach(name) for name in sorted({*state.links, *self._renames[1]}) if name not in kept)
        yield from (UnpointPrograms(name) for name in sorted(state.programs) if name not in self.wanted)
        yield from self._unused_programs()
        yield from self._records()
        yield from self._unused_objects()

    def _unused_objects(self) -> Iterator[Operation]:
        """With an object its answers go: not before the last question has been asked."""
        unused = [number for number in sorted(self.state.objects) if number != self.object]
        if unused:
            yield AwaitGrace()
        yield from (RemoveObject(number) for number in unused)

    def _unused_programs(self) -> Iterator[Operation]:
        kept = {it.endpoint for it in self.wanted.values()}
        yield from (RemovePrograms(self.instance(number)) for number in sorted(self.there.endpoints - kept))

    def _records(self) -> Iterator[Operation]:
        state, target = self.state, self.target
        attached = {operation.interface for operation in self._links() if isinstance(operation, AttachXdp)}
        changed = {
            name: it
            for name, it in sorted(target.interfaces.items())
            if name not in self.written_first and _differs(state.endpoints[it.number], it, name in attached)
        }
        if changed:
            yield WriteEndpoints(changed)
        pairs = ((i, state.names.get(i, name), name) for i, name in target.names.items())
        renamed = {i: name for i, there, name in pairs if there is not name and there != name}
        if renamed:
            yield WriteNames(renamed)
        numbers = {it.number for it in target.interfaces.values()}
        endpoints = sorted(set(state.endpoints) - numbers)
        names = sorted(set(state.names) - set(target.names))
        if endpoints or names:
            yield AwaitGrace()
        if endpoints:
            yield FreeEndpoints(tuple(endpoints))
        if names:
            yield FreeNames(tuple(names))


def _rules(tables: Iterable[TableSet], there: Mapping[TableSet, Rules], wanted: Rules) -> Iterator[Operation]:
    if wanted.programs:
        differing = tuple(table for table in tables if there.get(table) != wanted)
        if differing:
            yield UpdateRules(differing, wanted.programs, wanted.settings)
    else:
        unwanted = tuple(table for table in tables if table in there)
        if unwanted:
            yield RemoveRules(unwanted)


def _differs(record: Endpoint, governed: Governed, attached: bool) -> bool:  # noqa: FBT001
    """Whether a record must be written; attaching writes the ifindex by itself."""
    return record.name != governed.host_endpoint or (not attached and record.ifindex != governed.ifindex)


def _ifindexes(target: Target) -> dict[str, int]:
    return {name: it.ifindex for name, it in target.interfaces.items()}
