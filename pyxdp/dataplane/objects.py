"""Objects: their maps, and the pins of the programs loaded on them.

Methods that are part of a plan before its switch tell their :class:`Attempt` how to undo them.
"""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Final

from pyxdp.abi import AbiVersion, Limit
from pyxdp.bpf import Map, Object
from pyxdp.dataplane.bpffs import make_folder, point, remove_tree, target_of
from pyxdp.dataplane.code import PREFIX
from pyxdp.dataplane.programs import maps_of
from pyxdp.planner import ENTRY_BYTES

if TYPE_CHECKING:
    from pathlib import Path

    from pyxdp import planner
    from pyxdp.dataplane.attempt import Attempt
    from pyxdp.dataplane.code import Code
    from pyxdp.dataplane.halves import Halves
    from pyxdp.dataplane.layout import Layout

#: Offset of ``abi`` in ``struct pyxdp_control``, in bytes.
_CONTROL_ABI: Final = 4
#: Maps that refer to programs of their object, or are known to nobody else: never shared between objects.
_OWN: Final = ("questions", "early", "handover")


class Objects:
    """The objects below one layout."""

    def __init__(self, layout: Layout, code: Code, halves: Halves) -> None:
        self._layout = layout
        self._code = code
        self._halves = halves

    def create(self, operation: planner.CreateObject, attempt: Attempt) -> None:
        """Create the maps and pin them. The mark that the object is complete comes last."""
        folder = self._layout.object(operation.number)
        attempt.on_failure(lambda: remove_tree(folder))
        with Object.open(self._code.data, name="pyxdp") as obj, ExitStack() as reused:
            for program in obj.programs.values():
                program.autoload = False
            for name, its_map in maps_of(obj).items():
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
            for at, (name, its_map) in enumerate(maps_of(obj).items()):
                its_map.pin(self._layout.maps(operation.number) / name)
                attempt.advance(at / len(obj.maps))
        make_folder(self._layout.build(operation.number, operation.build))

    def copy(self, operation: planner.CopyMaps, attempt: Attempt) -> None:
        """Copy what the new maps have to know of the policy in force."""
        for at, name in enumerate(operation.maps):
            attempt.advance(at / len(operation.maps))
            if name in ENTRY_BYTES:
                self._halves.copy(name, operation.slot, source=operation.source, target=operation.target)
                continue
            with (
                Map.from_pin(self._layout.maps(operation.source) / name) as old,
                Map.from_pin(self._layout.maps(operation.target) / name) as new,
            ):
                new.write(0, old.read())

    def remove_programs(self, operation: planner.RemovePrograms) -> None:
        """Remove the pins of one endpoint's programs."""
        remove_tree(self._layout.programs(operation.instance))

    def remove(self, operation: planner.RemoveObject) -> None:
        """Remove all pins of an object: first programs, that nobody opens one whose answer is gone."""
        remove_tree(self._layout.object(operation.number) / "programs")
        remove_tree(self._layout.object(operation.number))
        self._halves.forget(operation.number)

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
        if operation.source is None or name in operation.own or name in _OWN:
            return None
        pin = self._layout.maps(operation.source) / name
        return pin if pin.exists() else None
