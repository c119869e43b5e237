"""Objects: their maps and the programs loaded on them, as pins.

Methods that are part of a plan before its switch tell their :class:`Attempt` how to undo them.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import TYPE_CHECKING, Final

from pyxdp.abi import AbiVersion, Limit
from pyxdp.bpf import Map, Object, ObjectMap, Program
from pyxdp.dataplane.bpffs import entries, make_folder, point, remove_tree, target_of
from pyxdp.dataplane.code import PREFIX
from pyxdp.dataplane.layout import PROGRAMS
from pyxdp.planner import ENTRY_BYTES

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from pyxdp import planner
    from pyxdp.dataplane.attempt import Attempt
    from pyxdp.dataplane.code import Code
    from pyxdp.dataplane.layout import Layout

#: Offset of ``abi`` in ``struct pyxdp_control``, in bytes.
_CONTROL_ABI: Final = 4
#: Maps whose half the programs know as a constant.
_HALVES: Final = ("rules", "rows", "pages", "ranges", "range_index")


class Objects:
    """The objects below one layout."""

    def __init__(self, layout: Layout, code: Code) -> None:
        self._layout = layout
        self._code = code

    def create(self, operation: planner.CreateObject, attempt: Attempt) -> None:
        """Create the maps and pin them. The mark that the object is complete comes last."""
        folder = self._layout.object(operation.number)
        attempt.on_failure(lambda: remove_tree(folder))
        with self._opened() as obj, ExitStack() as reused:
            for program in obj.programs.values():
                program.autoload = False
            for name, its_map in _maps(obj).items():
                taken = self._taken_over(operation, name)
                if taken is not None:
                    its_map.reuse(reused.enter_context(Map.from_pin(taken)))
                elif name in operation.capacities:
                    its_map.max_entries = operation.capacities[name] * (Limit.SLOTS if name in ENTRY_BYTES else 1)
            obj.load()
            if operation.source is None:
                obj.maps[f"{PREFIX}control"].store_u32(_CONTROL_ABI, AbiVersion.VERSION)
            make_folder(self._layout.maps(operation.number))
            make_folder(folder / "programs")
            for at, (name, its_map) in enumerate(_maps(obj).items()):
                its_map.pin(self._layout.maps(operation.number) / name)
                attempt.advance(at / len(obj.maps))
        make_folder(self._layout.build(operation.number, operation.build))

    def copy(self, operation: planner.CopyMaps, attempt: Attempt) -> None:
        """Copy what the new maps have to know of the policy in force."""
        for at, name in enumerate(operation.maps):
            attempt.advance(at / len(operation.maps))
            with (
                Map.from_pin(self._layout.maps(operation.source) / name) as old,
                Map.from_pin(self._layout.maps(operation.target) / name) as new,
            ):
                if name in ENTRY_BYTES:
                    half, new_half = half_of(old), half_of(new)
                    new.write(operation.slot * new_half, old.read(operation.slot * half, half))
                else:
                    new.write(0, old.read())

    def load(self, operation: planner.LoadPrograms, attempt: Attempt) -> None:
        """Load the programs for one endpoint and pin them; what an interrupted attempt left is replaced."""
        folder = self._layout.programs(operation.instance)
        remove_tree(folder)
        attempt.on_failure(lambda: remove_tree(folder))
        make_folder(folder)
        with ExitStack() as stack:
            for at, (name, program) in enumerate(self._loaded(operation.instance, stack)):
                attempt.advance(at / len(PROGRAMS))
                program.pin(folder / name)

    def _loaded(self, instance: planner.Instance, stack: ExitStack) -> list[tuple[str, Program]]:
        """Load each program by itself, on as many CPUs as there are: the verifier is most of the time of an apply."""
        maps = {pin.name: stack.enter_context(Map.from_pin(pin)) for pin in entries(self._layout.maps(instance.object))}
        with ThreadPoolExecutor(os.cpu_count()) as threads:
            loading = {name: threads.submit(self._load_one, name, maps, instance.endpoint) for name in PROGRAMS}
        opened = {name: stack.enter_context(it.result()) for name, it in loading.items() if not it.exception()}
        for it in loading.values():
            it.result()
        return [(name, obj.programs[f"{PREFIX}{name}"]) for name, obj in opened.items()]

    def _load_one(self, name: str, maps: Mapping[str, Map], endpoint: int) -> Object:
        obj = self._opened()
        try:
            for program in obj.programs.values():
                program.autoload = program.name == f"{PREFIX}{name}"
            for map_name, its_map in _maps(obj).items():
                if map_name in maps:
                    its_map.reuse(maps[map_name])
            for map_name in _HALVES:
                obj.rodata[f"{PREFIX}half_{map_name}"] = half_of(maps[map_name])
            obj.rodata[f"{PREFIX}endpoint_number"] = endpoint
            obj.rodata[f"{PREFIX}log_per_second"] = self._code.log_per_second
            return obj.load()
        except BaseException:
            obj.close()
            raise

    def remove_programs(self, operation: planner.RemovePrograms) -> None:
        """Remove the pins of one endpoint's programs."""
        remove_tree(self._layout.programs(operation.instance))

    def remove(self, operation: planner.RemoveObject) -> None:
        """Remove all pins of an object."""
        remove_tree(self._layout.object(operation.number))

    def point_maps(self, operation: planner.PointMaps, attempt: Attempt) -> None:
        """Show an object's maps as ``maps``: from here on it is the one in force."""
        self._point(self._layout.shown_maps, self._layout.maps(operation.object), attempt)

    def point_programs(self, operation: planner.PointPrograms, attempt: Attempt) -> None:
        """Show an instance as ``programs/INTERFACE``."""
        symlink = self._layout.shown_program(operation.interface)
        self._point(symlink, self._layout.programs(operation.instance), attempt)

    def unpoint_programs(self, operation: planner.UnpointPrograms) -> None:
        """Remove ``programs/INTERFACE``."""
        remove_tree(self._layout.shown_program(operation.interface))

    def _point(self, symlink: Path, path: Path, attempt: Attempt) -> None:
        before = target_of(symlink)
        attempt.on_failure(lambda: remove_tree(symlink) if before is None else point(symlink, before))
        point(symlink, self._layout.relative(path, symlink))

    def _taken_over(self, operation: planner.CreateObject, name: str) -> Path | None:
        """The pin of the source's map, unless the new object gets its own or the source's code had none."""
        if operation.source is None or name in operation.own:
            return None
        pin = self._layout.maps(operation.source) / name
        return pin if pin.exists() else None

    def _opened(self) -> Object:
        return Object.open(self._code.data, name="pyxdp")


def half_of(slotted: Map) -> int:
    """Entries of one slot."""
    return slotted.info.max_entries // Limit.SLOTS


def _maps(obj: Object) -> dict[str, ObjectMap]:
    """Our maps without the prefix; those that the compiler made for constants belong to one instance."""
    return {name.removeprefix(PREFIX): its_map for name, its_map in obj.maps.items() if name.startswith(PREFIX)}
