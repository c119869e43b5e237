"""Loading programs on the maps of an object, and putting them where others find them.

Each endpoint has its own: one for XDP, and a few instructions for every question that a rule asks. What answers those
questions is loaded once for an object and found in the map ``questions``; what drops early is found in ``early``.
"""

from __future__ import annotations

import errno
import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import TYPE_CHECKING, Final

from pyxdp import planner
from pyxdp.abi import Limit
from pyxdp.bpf import Map, Object, ObjectMap, ObjectProgram, Program
from pyxdp.dataplane import early
from pyxdp.dataplane.bpffs import entries, make_folder, remove_tree
from pyxdp.dataplane.code import PREFIX
from pyxdp.dataplane.layout import EARLY_REFUSED, FILTERS
from pyxdp.errors import BpfError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from pyxdp.dataplane.attempt import Attempt
    from pyxdp.dataplane.code import Code
    from pyxdp.dataplane.layout import Layout

_ANSWER: Final = "answer"
_EARLY: Final = "early_drop"
#: Maps whose half the programs know as a constant.
_HALVES: Final = tuple(name for name in planner.ENTRY_BYTES if name != "rulesets")


class Programs:
    """The programs below one layout. Methods tell their :class:`Attempt` how to undo them."""

    def __init__(self, layout: Layout, code: Code) -> None:
        self._layout = layout
        self._code = code

    def load(self, operation: planner.LoadPrograms, attempt: Attempt) -> None:
        """Load programs and pin them; what an interrupted attempt left is replaced.

        The verifier is most of the time of an apply, and the programs for XDP and the one that answers are most of its
        work: each is loaded by itself, on as many CPUs as there are.
        """
        with ExitStack() as stack, ThreadPoolExecutor(os.cpu_count()) as threads:
            maps = self._maps(operation.object, stack)
            answer = (
                threads.submit(lambda: stack.enter_context(self._main([_ANSWER], maps, 0)))
                if operation.answer
                else None
            )
            loads = [
                (names, it.number, self._layout.programs(planner.Instance(operation.object, it.number)))
                for it in operation.endpoints.values()
                for names in ([FILTERS] if it.pattern else [["xdp"], FILTERS])
            ]
            for folder in dict.fromkeys(folder for *_, folder in loads):
                self._make_room(folder, attempt)
            pinned = [threads.submit(self._load_one, names, maps, number, folder) for names, number, folder in loads]
            for at, it in enumerate(pinned):
                attempt.advance(at / len(pinned))
                it.result()
            if answer:
                program = _program(answer.result(), _ANSWER)
                self._put(program, *self._answer(operation.object), attempt)

    def _load_one(self, names: Iterable[str], maps: Mapping[str, Map], endpoint: int, folder: Path) -> None:
        """Load, pin and close: many processes may have no more than a thousand files open, and an endpoint is sixty."""
        with self._main(names, maps, endpoint) as loaded:
            for name in names:
                _program(loaded, name).pin(folder / name)

    def fill_early(self, operation: planner.FillEarly, attempt: Attempt) -> None:
        """Let XDP find the program for early drop, meanwhile; if the kernel refuses it, leave a mark that says so."""
        attempt.on_failure(lambda: self._forget_early(operation.object))
        attempt.meanwhile(lambda: self._load_early(operation.object))

    def _load_early(self, number: int) -> None:
        with ExitStack() as stack:
            maps = self._maps(number, stack)
            try:
                loaded = stack.enter_context(_loaded(self._code.early, [_EARLY], maps, self._constants(maps)))
            except BpfError as error:
                make_folder(self._layout.early_refused(number, error.errno or errno.EINVAL))
            else:
                self._put(_program(loaded, _EARLY), *self._early(number))

    def _forget_early(self, number: int) -> None:
        _take_away(*self._early(number))
        for mark in entries(self._layout.object(number)):
            if mark.name.startswith(EARLY_REFUSED):
                remove_tree(mark)

    def empty_early(self, operation: planner.EmptyEarly, attempt: Attempt) -> None:
        """Let XDP find it no more."""
        pin, slot = self._early(operation.object)
        if pin.exists():
            program = attempt.held.enter_context(Program.from_pin(pin))
            attempt.on_failure(lambda: self._put(program, pin, slot))
        _take_away(pin, slot)

    def _answer(self, number: int) -> tuple[Path, Path]:
        return self._layout.answer(number), self._layout.maps(number) / "questions"

    def _early(self, number: int) -> tuple[Path, Path]:
        return self._layout.early(number), self._layout.maps(number) / "early"

    @staticmethod
    def _put(program: Program, pin: Path, slot: Path, attempt: Attempt | None = None) -> None:
        """Pin a program and make it the entry of a program array that has none."""
        remove_tree(pin)
        if attempt:
            attempt.on_failure(lambda: _take_away(pin, slot))
        program.pin(pin)
        with Map.from_pin(slot) as its_map:
            its_map.put(0, program)

    def _maps(self, number: int, stack: ExitStack) -> dict[str, Map]:
        return {pin.name: stack.enter_context(Map.from_pin(pin)) for pin in entries(self._layout.maps(number))}

    @staticmethod
    def _make_room(folder: Path, attempt: Attempt) -> None:
        remove_tree(folder)
        attempt.on_failure(lambda: remove_tree(folder))
        make_folder(folder)

    def _main(self, names: Iterable[str], maps: Mapping[str, Map], endpoint: int) -> Object:
        own = {"endpoint_number": endpoint, "early_possible": early.possible(self._code)}
        return _loaded(self._code.data, names, maps, self._constants(maps) | own)

    def _constants(self, maps: Mapping[str, Map]) -> dict[str, int]:
        halves = {f"half_{name}": half_of(maps[name]) for name in _HALVES}
        return {**halves, "log_per_second": self._code.log_per_second}


def half_of(slotted: Map) -> int:
    """Entries of one slot."""
    return slotted.info.max_entries // Limit.SLOTS


def maps_of(obj: Object) -> dict[str, ObjectMap]:
    """Our maps without the prefix; those that the compiler made for constants belong to one instance."""
    return {name.removeprefix(PREFIX): its_map for name, its_map in obj.maps.items() if name.startswith(PREFIX)}


def _loaded(code: bytes, names: Iterable[str], maps: Mapping[str, Map], constants: Mapping[str, int]) -> Object:
    wanted = {f"{PREFIX}{name}" for name in names}
    obj = Object.open(code, name="pyxdp")
    try:
        for program in obj.programs.values():
            program.autoload = program.name in wanted
        for name, its_map in maps_of(obj).items():
            its_map.reuse(maps[name])
        for name, value in constants.items():
            obj.rodata[f"{PREFIX}{name}"] = value
        return obj.load()
    except BaseException:
        obj.close()
        raise


def _program(obj: Object, name: str) -> ObjectProgram:
    return obj.programs[f"{PREFIX}{name}"]


def _take_away(pin: Path, slot: Path) -> None:
    with Map.from_pin(slot) as its_map:
        its_map.delete(0)
    remove_tree(pin)
