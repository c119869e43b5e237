"""Reading back what there is. Nothing is remembered between two runs but what the kernel holds."""

from __future__ import annotations

import errno
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, TypeVar

from pyxdp import planner
from pyxdp.abi import AbiVersion, Control, Endpoint, Name, Slot, decode_array, sizeof
from pyxdp.bpf import Link, LinkInfo, Map, Program
from pyxdp.dataplane.bpffs import entries, target_of
from pyxdp.dataplane.layout import EARLY_REFUSED, FILTERS, PROGRAMS, instance_of, interface_name, object_of
from pyxdp.dataplane.programs import half_of
from pyxdp.dataplane.rules import rules_of
from pyxdp.errors import MapIncompatibleError, OperatorError
from pyxdp.xtables import is_pattern

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from pyxdp.dataplane.halves import Halves
    from pyxdp.dataplane.layout import Layout
    from pyxdp.netlink import Device
    from pyxdp.xtables import Tables

S = TypeVar("S", bound=tuple[Any, ...])

_BUILD: Final = "build-"
#: Maps without which an object can not be read back.
MAPS: Final = {*planner.ENTRY_BYTES, *planner.IDENTITY_MAPS, "control", "slots", "endpoints", "reasons"}
#: What its programs need besides, and the next object can have anew.
REPLACEABLE: Final = {"questions", "early", "handover", "events", "log_rate"}
_INCOMPLETE: Final = "incomplete-"


def read_state(
    layout: Layout, tables: Mapping[planner.TableSet, Tables], devices: Iterable[Device], halves: Halves
) -> planner.State:
    """Read everything else.

    Args:
        layout: where the pins are.
        tables: what iptables shows.
        devices: of this network namespace, as they are now.
        halves: the memory of the maps, in which the contents of the slot in force stay.

    Raises:
        OperatorError: what is there is damaged, or belongs to another network namespace.
        PinError: without privileges.
    """
    current = object_of(target_of(layout.shown_maps) or "")
    objects = _objects(layout)
    outside = planner.State(
        objects=objects,
        links=_links(layout, objects, devices),
        programs=_shown_programs(layout),
        rules=rules_of(layout, tables, objects),
        tracking=tuple(sorted({rule for there in tables.values() for rule in there.tracking})),
    )
    return _with_policy(layout, outside, current, halves) if current is not None else outside


def link_names(layout: Layout) -> list[str]:
    """Interfaces with a pinned link."""
    return [interface_name(pin.name) for pin in entries(layout.links)]


def _objects(layout: Layout) -> dict[int, planner.LoadedObject]:
    folders = [folder for folder in entries(layout.objects) if folder.name.isdigit()]
    return {int(folder.name): _object(folder) for folder in folders}


def _object(folder: Path) -> planner.LoadedObject:
    """One object; without its mark or a map it is what an interrupted apply left, or damaged, and good for nothing.

    One that only lacks what can be replaced is of no known build: the policy in it lives on in another object.
    """
    marks = [entry.name.removeprefix(_BUILD) for entry in entries(folder) if entry.name.startswith(_BUILD)]
    maps = {pin.name for pin in entries(folder / "maps")}
    if not marks or not maps >= MAPS:
        return planner.LoadedObject("")
    return planner.LoadedObject(
        marks[0] if maps >= REPLACEABLE else _INCOMPLETE + marks[0],
        _capacities(folder / "maps"),
        endpoints=frozenset(_complete(folder)),
        answers=_filled(folder / "maps/questions"),
        early=early_of(folder),
    )


def _complete(folder: Path) -> Iterator[int]:
    """Endpoints with all programs that theirs should be: only interfaces have one for XDP."""
    records = read_endpoints(folder / "maps")
    for programs in entries(folder / "programs"):
        record = records.get(int(programs.name))
        wanted = FILTERS if record and is_pattern(record.interface) else PROGRAMS
        if {pin.name for pin in entries(programs)}.issuperset(wanted):
            yield int(programs.name)


def _filled(pin: Path) -> bool:
    """Whether a program array has its entry; code of earlier versions has none."""
    if not pin.exists():
        return False
    with Map.from_pin(pin) as slot:
        return slot.get(0) is not None


def early_of(folder: Path) -> planner.Early:
    """Whether the programs of an object, by its folder, find the one for early drop."""
    if any(entry.name.startswith(EARLY_REFUSED) for entry in entries(folder)):
        return planner.Early.REFUSED
    return planner.Early.ON if _filled(folder / "maps/early") else planner.Early.OFF


def _capacities(maps: Path) -> dict[str, int]:
    found = {}
    for name in (*planner.ENTRY_BYTES, *planner.IDENTITY_MAPS):
        with Map.from_pin(maps / name) as its_map:
            found[name] = half_of(its_map) if name in planner.ENTRY_BYTES else its_map.info.max_entries
    return found


def _with_policy(layout: Layout, outside: planner.State, current: int, halves: Halves) -> planner.State:
    loaded, maps = outside.objects.get(current), layout.maps(current)
    if loaded is None or not loaded.build:
        message = f"the pins in {layout.base} are damaged, or of another version: object {current} is not complete"
        raise OperatorError(message, hint="apply again, which puts pins back; if that fails: pyxdp delete, then apply")
    (control,), slots = _records(maps / "control", Control), _records(maps / "slots", Slot)
    if control.abi != AbiVersion.VERSION:
        what = f"{maps} has ABI version {control.abi}, this pyxdp has {AbiVersion.VERSION:d}"
        raise MapIncompatibleError(errno.EINVAL, what, hint="remove it with the pyxdp that made it: pyxdp delete")
    return replace(
        outside,
        current=current,
        active=control.active,
        slots=(slots[0], slots[1]),
        tables=halves.content(current, control.active),
        names={index: name for index, name in _used(maps / "names", Name).items() if name.action},
        endpoints=read_endpoints(maps),
    )


def read_endpoints(maps: Path) -> dict[int, Endpoint]:
    """Endpoint numbers in use, from a folder of maps."""
    return {number: it for number, it in _used(maps / "endpoints", Endpoint).items() if it.interface}


def _records(pin: Path, struct: type[S]) -> list[S]:
    with Map.from_pin(pin) as its_map:
        return decode_array(struct, its_map.read())


def _used(pin: Path, struct: type[S]) -> dict[int, S]:
    """Elements that are not all zero; most are."""
    size = sizeof(struct)
    empty = bytes(size)
    with Map.from_pin(pin) as its_map:
        data = its_map.read()
    elements = (data[at : at + size] for at in range(0, len(data), size))
    used = {index: element for index, element in enumerate(elements) if element != empty}
    return dict(zip(used, decode_array(struct, b"".join(used.values())), strict=True))


def _links(
    layout: Layout, objects: Mapping[int, planner.LoadedObject], devices: Iterable[Device]
) -> dict[str, planner.XdpLink]:
    instances = _instances_by_program(layout, objects)
    found = own_links(layout, devices)
    return {name: planner.XdpLink(info.ifindex, instances.get(info.program_id)) for name, info in found.items()}


def own_links(layout: Layout, devices: Iterable[Device]) -> dict[str, LinkInfo]:
    """Return the pinned links by interface name.

    Raises:
        OperatorError: one is attached, but not in this network namespace.
    """
    running = {it.interface.index: it.xdp.program_id for it in devices if it.xdp}
    links = {}
    for name in link_names(layout):
        with Link.from_pin(layout.link(name)) as link:
            info = link.info
        if info.ifindex and running.get(info.ifindex) != info.program_id:
            message = f"the pins in {layout.base} belong to another network namespace: {name} (index {info.ifindex})"
            raise OperatorError(message, hint="run pyxdp where they were made, or with a bpffs of its own")
        links[name] = info
    return links


def _instances_by_program(layout: Layout, objects: Mapping[int, planner.LoadedObject]) -> dict[int, planner.Instance]:
    found = {}
    for number, loaded in objects.items():
        for endpoint in loaded.endpoints:
            instance = planner.Instance(number, endpoint)
            pin = layout.programs(instance) / "xdp"
            if pin.exists():
                with Program.from_pin(pin) as program:
                    found[program.info.id] = instance
    return found


def _shown_programs(layout: Layout) -> dict[str, planner.Instance]:
    found = {interface_name(it.name): instance_of(target_of(it) or "") for it in entries(layout.shown_programs)}
    return {name: instance for name, instance in found.items() if instance}
