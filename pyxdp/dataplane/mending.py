"""Pins that somebody has removed from the object in force, put back where the kernel still has what they were of.

Links and rules hold programs, and programs hold maps: without their pins policy goes on being enforced, but nobody
could read back what it is, and a change that begins from nothing would leave a gap. So maps are found by programs that
use them and pinned again. Those that no program uses, and that only people read, are made anew.
"""

from __future__ import annotations

import logging
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING, Final

from pyxdp.abi import Control, Endpoint, Slot, decode, encode
from pyxdp.bpf import Link, Map, Object, Program
from pyxdp.dataplane.bpffs import entries, make_folder, point, target_of
from pyxdp.dataplane.code import PREFIX
from pyxdp.dataplane.layout import instance_of, interface_name, object_of
from pyxdp.dataplane.programs import maps_of
from pyxdp.dataplane.reading import MAPS, REPLACEABLE
from pyxdp.errors import BpfError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from pathlib import Path

    from pyxdp.dataplane.code import Code
    from pyxdp.dataplane.layout import Layout

_LOG: Final = logging.getLogger(__name__)
#: Of an object whose mark is gone: no code has it, so that the next apply replaces the object.
_MENDED: Final = "mended"


def mend(layout: Layout, code: Code) -> None:
    """Put back what is missing of the object in force; nothing happens when that is nothing.

    For who holds the lock.

    Raises:
        BpfError: the kernel refused.
    """
    number = _in_force(layout)
    if number is None:
        return
    if target_of(layout.shown_maps) is None:
        point(layout.shown_maps, layout.relative(layout.maps(number), layout.shown_maps))
    maps = layout.maps(number)
    missing = (MAPS | REPLACEABLE) - {pin.name for pin in entries(maps)}
    if missing:
        _LOG.warning("pins of maps are missing and put back: %s", ", ".join(sorted(missing)))
        make_folder(maps)
        _pin_again(layout, number, missing)
        _make_others(layout, number, code)
    if not any(it.name.startswith("build-") for it in entries(layout.object(number))):
        make_folder(layout.build(number, _MENDED))


def _in_force(layout: Layout) -> int | None:
    """Return the object that ``maps`` points to; without it, that of the programs that run."""
    target = target_of(layout.shown_maps)
    if target is not None:
        number = object_of(target)
        return number if number is not None and layout.object(number).is_dir() else None
    shown = [instance_of(target_of(it) or "") for it in entries(layout.shown_programs)]
    return max((it.object for it in shown if it and layout.object(it.object).is_dir()), default=None)


def _pin_again(layout: Layout, number: int, missing: Collection[str]) -> None:
    """Pin maps that a program still uses.

    Each is opened once, and stays open until it is pinned. The kernel empties a program array whenever the last
    descriptor or pin of it goes, and loses the array for good if that happens again before it is done (seen on 6.18).
    """
    with ExitStack() as stack:
        opened: dict[int, Map] = {}
        for program in _programs(layout, number):
            with program:
                map_ids = program.info.map_ids
            for map_id in map_ids:
                if map_id not in opened:
                    opened[map_id] = stack.enter_context(Map.from_id(map_id))
        names = {its_map.info.name: its_map for its_map in reversed(opened.values())}
        for name in sorted(missing):
            if PREFIX + name in names:
                names[PREFIX + name].pin(layout.maps(number) / name)


def _programs(layout: Layout, number: int) -> Iterator[Program]:
    """Yield programs of an object: those that are pinned, and those that run at interfaces."""
    pins = [it for folder in entries(layout.object(number) / "programs") for it in entries(folder)]
    for pin in [layout.answer(number), *pins]:
        with suppress(BpfError):
            yield Program.from_pin(pin)
    for pin in entries(layout.links):
        with suppress(BpfError), Link.from_pin(pin) as link:
            yield Program.from_id(link.info.program_id)


def _make_others(layout: Layout, number: int, code: Code) -> None:
    """Make the maps that are still missing, and write what must not be lost of them."""
    maps = layout.maps(number)
    there = {pin.name: pin for pin in entries(maps)}
    with Object.open(code.data, name="pyxdp") as obj, ExitStack() as reused:
        for program in obj.programs.values():
            program.autoload = False
        made = [name for name in maps_of(obj) if name not in there]
        if not made:
            return
        for name, its_map in maps_of(obj).items():
            if name in there:
                its_map.reuse(reused.enter_context(Map.from_pin(there[name])))
            elif name == "names" and "counters" in there:
                with Map.from_pin(there["counters"]) as counters:
                    its_map.max_entries = counters.info.max_entries
        obj.load()
        for name in made:
            maps_of(obj)[name].pin(maps / name)
    if "slots" in made:
        _write_slot(maps)
    if "endpoints" in made:
        _write_endpoints(layout, number)


def _write_slot(maps: Path) -> None:
    """Say that the slot in force holds something, which nobody knows."""
    with Map.from_pin(maps / "control") as control, Map.from_pin(maps / "slots") as slots:
        active = decode(Control, control.read(0, 1)).active
        slots.write(active, encode(Slot(1, 0, bytes(32))))


def _write_endpoints(layout: Layout, number: int) -> None:
    """Write which number each interface has: as it is shown."""
    with Map.from_pin(layout.maps(number) / "endpoints") as endpoints:
        for symlink in entries(layout.shown_programs):
            instance, name = instance_of(target_of(symlink) or ""), interface_name(symlink.name)
            if instance is not None:
                endpoints.write(instance.endpoint, encode(Endpoint(_ifindex(layout, name), 0, name, "")))


def _ifindex(layout: Layout, interface: str) -> int:
    with suppress(BpfError), Link.from_pin(layout.link(interface)) as link:
        return link.info.ifindex
    return 0
