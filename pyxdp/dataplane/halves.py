"""The maps that have slots, as memory: read, compared and written in place, since they may be hundreds of megabytes."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Final

from pyxdp.bpf import Map
from pyxdp.dataplane.programs import half_of
from pyxdp.errors import MapIncompatibleError
from pyxdp.planner import ENTRY_BYTES
from pyxdp.planner.content import differences, used

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pyxdp.bpf import Memory
    from pyxdp.dataplane.layout import Layout
    from pyxdp.planner import Table

#: Bytes filled between two reports of progress; a multiple of ``CHUNK``.
_STEP: Final = 1 << 20


class Halves:
    """The slots of all objects below one layout. Maps stay mapped from their first use on: close it, or forget it.

    Args:
        layout: where the pins are.
    """

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._mapped: dict[tuple[int, str], tuple[Memory, int]] = {}

    def close(self) -> None:
        """Give up all memory; what was returned can still be read."""
        for memory, _ in self._mapped.values():
            memory.close()
        self._mapped.clear()

    def forget(self, number: int) -> None:
        """Give up the memory of an object that is gone: the kernel keeps its maps until then."""
        for key in [key for key in self._mapped if key[0] == number]:
            memory, _ = self._mapped.pop(key)
            memory.close()

    def memory(self, number: int, name: str) -> tuple[Memory, int]:
        """Return the whole map of an object, and the bytes of one slot.

        Raises:
            BpfError: it can not be opened.
            MapIncompatibleError: its entries are not those of this version.
        """
        key = number, name
        if key not in self._mapped:
            with Map.from_pin(self._layout.maps(number) / name) as its_map:
                _expect_entries(its_map, name)
                self._mapped[key] = its_map.mapped(writable=True), half_of(its_map) * ENTRY_BYTES[name]
        return self._mapped[key]

    def content(self, number: int, slot: int) -> dict[str, Table]:
        """Return what a slot holds, up to the last entry that is not zero; it goes on changing with the maps."""
        found = {name: self.half(number, name, slot) for name in ENTRY_BYTES}
        return {name: half[: used(half, ENTRY_BYTES[name])].toreadonly() for name, half in found.items()}

    def fill(self, number: int, slot: int, tables: Mapping[str, Table]) -> Iterator[float]:
        """Make a slot that nobody reads hold these tables and zero behind them; yield how much is done, from 0 to 1.

        What is there already is only read: a policy that differs little from what the slot held before costs little.
        """
        halves = {name: self.half(number, name, slot) for name in ENTRY_BYTES}
        done, total = 0, sum(map(len, halves.values()))
        for name, half in halves.items():
            wanted = memoryview(tables.get(name, b""))
            for at in range(0, len(half), _STEP):
                part = half[at : at + _STEP]
                _make_same(part, wanted[at : at + _STEP])
                done += len(part)
                yield done / total

    def copy(self, name: str, slot: int, *, source: int, target: int) -> None:
        """Copy a slot into the larger map of another object, which nobody has written to."""
        old = self.half(source, name, slot)
        self.half(target, name, slot)[: len(old)] = old

    def half(self, number: int, name: str, slot: int) -> memoryview:
        """Return the memory of one slot of a map, all of it."""
        memory, size = self.memory(number, name)
        return memory.view[slot * size : (slot + 1) * size]


def _make_same(there: memoryview, wanted: memoryview) -> None:
    for at, end in differences(wanted, there):
        there[at:end] = bytes(wanted[at:end]).ljust(end - at, b"\0")


def _expect_entries(its_map: Map, name: str) -> None:
    found, wanted = its_map.info.value_size, ENTRY_BYTES[name]
    if found != wanted or not its_map.mappable:
        what = f"map {name} is of another version of pyxdp: entries of {found} bytes instead of {wanted}"
        raise MapIncompatibleError(errno.EINVAL, what, hint="remove it with: pyxdp delete; then apply again")
