"""What others have changed since a session did: the cheapest look that overlooks nothing.

A full read-back runs ``iptables-save`` four times, which costs tens of milliseconds of CPU, and on machines with many
rules of others seconds. So rules are read when they may have changed: nf_tables tells of every transaction, and nothing
is read before the first one. (Rules of the legacy variant, of whose changes nobody tells, are read at each look.)
Everything else is looked at directly: pins are names in a few folders, links are asked for their interface and program,
and of the maps that decide a checksum of the slot in force is taken.
"""

from __future__ import annotations

import os
import socket
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING
from zlib import crc32

from pyxdp.bpf import Link, Map
from pyxdp.dataplane.rules import read_tables, rules_of
from pyxdp.errors import BpfError
from pyxdp.netlink import RuleChanges
from pyxdp.planner import ENTRY_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from pyxdp import planner
    from pyxdp.dataplane.halves import Halves
    from pyxdp.dataplane.layout import Layout
    from pyxdp.xtables import Iptables

#: Maps beside those with slots that must stay as they are: identities, and the programs that others call.
_RECORDS = ("names", "endpoints")
_PROGRAM_ARRAYS = ("questions", "early")


class Drift(Enum):
    """What is not as it was left."""

    LINK = "link"
    RULES = "rules"
    PIN = "pin"
    MAP = "map"


@dataclass(frozen=True, slots=True)
class _Left:
    """What there was when it was last as it should be."""

    pins: frozenset[tuple[str, object]]
    links: Mapping[str, tuple[int, int]]
    maps: Mapping[str, int]


class Lookout:
    """Finds what others have changed; for one session."""

    def __init__(self, layout: Layout, iptables: Iptables) -> None:
        """Look at nothing yet.

        Args:
            layout: where the pins are.
            iptables: reads rules.
        """
        self._layout = layout
        self._iptables = iptables
        self._changes: RuleChanges | None = None
        self._rules_right = False
        self._left: _Left | None = None

    def close(self) -> None:
        """Listen no more."""
        if self._changes:
            self._changes.close()
        self._changes, self._left = None, None

    def forget(self) -> None:
        """Everything may be different, and rightly: this session has changed something, or is about to."""
        self._left, self._rules_right = None, False

    def settle(self, state: planner.State, halves: Halves) -> None:
        """Remember what there is, unless that is known.

        Raises:
            BpfError: something can not be read.
        """
        if self._left is None:
            number = state.current
            assert number is not None  # noqa: S101 - something is in force
            self._left = _Left(_pins(self._layout.base), self._links(state), self._maps(number, state.active, halves))

    def look(self, state: planner.State, halves: Halves) -> frozenset[Drift]:
        """Return what is not as this session left it.

        Args:
            state: as this session left it.
            halves: the memory of its maps.

        Raises:
            XtablesError: iptables can not be run.
        """
        return frozenset(self._differing(state, halves))

    def _differing(self, state: planner.State, halves: Halves) -> Iterator[Drift]:
        try:
            self.settle(state, halves)
            left, number = self._left, state.current
            assert left is not None and number is not None  # noqa: S101, PT018 - settle() has seen to it
            links, maps = self._links(state), self._maps(number, state.active, halves)
        except BpfError:  # what is to be looked at is not there any more
            yield Drift.PIN
        else:
            if any(it != left.links.get(name) or _is_detached(it[0], state, name) for name, it in links.items()):
                yield Drift.LINK
            if maps != left.maps:
                yield Drift.MAP
            if _pins(self._layout.base) != left.pins:
                yield Drift.PIN
        if not self._rules_are_right(state):
            yield Drift.RULES

    def _links(self, state: planner.State) -> dict[str, tuple[int, int]]:
        """Return interface and program of every link."""
        found = {}
        for name in state.links:
            with Link.from_pin(self._layout.link(name)) as link:
                found[name] = (link.info.ifindex, link.info.program_id)
        return found

    def _maps(self, number: int, slot: int, halves: Halves) -> dict[str, int]:
        """Return a checksum of each map that decides."""
        found = {name: crc32(halves.half(number, name, slot)) for name in ENTRY_BYTES}
        folder = self._layout.maps(number)
        for name in _RECORDS:
            with Map.from_pin(folder / name) as its_map:
                found[name] = crc32(its_map.read())
        for name in _PROGRAM_ARRAYS:
            with Map.from_pin(folder / name) as its_map:
                found[name] = crc32(its_map.get(0) or b"")
        return found

    def _rules_are_right(self, state: planner.State) -> bool:
        if self._changes is None:
            self._changes = RuleChanges()
        changed = self._changes.any()  # before they are read: what changes meanwhile is seen next time
        if not changed and self._rules_right and all(table.variant == "nft" for table in state.rules):
            return True
        tables = read_tables(self._layout, self._iptables)
        self._rules_right = rules_of(self._layout, tables, state.objects) == state.rules
        return self._rules_right


def _is_detached(ifindex: int, state: planner.State, name: str) -> bool:
    """Whether a link runs nowhere although its interface is there."""
    if ifindex:
        return False
    try:
        socket.if_indextoname(state.links[name].ifindex)
    except OSError:
        return False
    return True


def _pins(base: Path) -> frozenset[tuple[str, object]]:
    """Return every name below a folder, with what tells it from another of that name."""
    found: set[tuple[str, object]] = set()
    waiting = [str(base)]
    while waiting:
        with suppress(FileNotFoundError), os.scandir(waiting.pop()) as folder:
            for entry in folder:
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(entry.path)
                found.add((entry.path, os.readlink(entry.path) if entry.is_symlink() else entry.inode()))  # noqa: PTH115
    return frozenset(found)
