"""What others have changed since a session did: the cheapest look that overlooks nothing.

A full read-back runs ``iptables-save`` four times, which costs tens of milliseconds of CPU, and on machines with many
rules of others seconds. So rules are read when they may have changed: nf_tables tells of every transaction, and nothing
is read before the first one. (Rules of the legacy variant, of whose changes nobody tells, are read at each look.)
Everything else is looked at directly: pins are names in a few folders, links are asked for their interface and program,
and of the maps that decide checksums of the slot in force are taken.

An own change must not make what others did before it look right. So what it touches is looked at before it, and only
that is remembered anew behind it.
"""

from __future__ import annotations

import os
import socket
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Final
from zlib import crc32

from pyxdp.bpf import Link, Map
from pyxdp.dataplane.rules import read_tables, rules_of
from pyxdp.errors import BpfError
from pyxdp.netlink import RuleChanges
from pyxdp.planner import ENTRY_BYTES

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping
    from pathlib import Path

    from pyxdp import planner
    from pyxdp.dataplane.halves import Halves
    from pyxdp.dataplane.layout import Layout
    from pyxdp.xtables import Iptables

#: Maps beside those with slots that must stay as they are: identities, and the programs that others call.
_RECORDS = ("names", "endpoints")
_PROGRAM_ARRAYS = ("questions", "early")
_MAPS = (*ENTRY_BYTES, *_RECORDS, *_PROGRAM_ARRAYS)
#: Bytes that a checksum is of: an own change of a few members looks at a few of them.
BLOCK: Final = 1 << 15


class Drift(Enum):
    """What is not as it was left."""

    LINK = "link"
    RULES = "rules"
    PIN = "pin"
    MAP = "map"


@dataclass(frozen=True, slots=True)
class _Left:
    """What there was when it was last as it should be; of maps a checksum of each block."""

    pins: frozenset[tuple[str, object]]
    links: Mapping[str, tuple[int, int]]
    maps: dict[str, list[int]] = field(default_factory=dict)


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
        self._met = False

    def close(self) -> None:
        """Listen no more."""
        if self._changes:
            self._changes.close()
        self._changes, self._left = None, None

    def forget(self) -> None:
        """Everything may be different, and rightly: all was read back, and made right."""
        self._left, self._rules_right, self._met = None, False, False

    def settle(self, state: planner.State, halves: Halves) -> None:
        """Remember what there is, as far as it is not known.

        Raises:
            BpfError: something can not be read.
        """
        if self._left is None:
            self._left = _Left(_pins(self._layout.base), self._links(state))
        left = self._left.maps
        left.update(self._maps(state, halves, [name for name in _MAPS if name not in left]))

    @contextmanager
    def writing_members(
        self, state: planner.State, halves: Halves, blocks: Mapping[str, Collection[int]]
    ) -> Iterator[None]:
        """Write to some blocks of the slot in force: what others did to them is noted before, what there is then after.

        Raises:
            BpfError: something can not be read.
        """
        number = state.current
        assert number is not None  # noqa: S101 - something is in force
        left = self._left.maps if self._left else {}
        known = [
            (left[name], block, halves.half(number, name, state.active)[block * BLOCK : (block + 1) * BLOCK])
            for name, touched in blocks.items()
            if name in left
            for block in touched
        ]
        self._met |= any(sums[block] != crc32(content) for sums, block, content in known)
        yield
        for sums, block, content in known:
            sums[block] = crc32(content)

    @contextmanager
    def writing_slot(self, state: planner.State, halves: Halves, *, fills: bool) -> Iterator[None]:
        """Write names and, if ``fills``, the other slot, and switch to it: links, rules and pins stay what they were.

        Raises:
            BpfError: something can not be read.
        """
        left = self._left.maps if self._left else {}
        self._met |= "names" in left and self._maps(state, halves, ["names"])["names"] != left["names"]
        yield
        for name in ("names", *(ENTRY_BYTES if fills else ())):
            left.pop(name, None)

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
            left = self._left
            assert left is not None  # noqa: S101 - settle() has seen to it
            links, maps = self._links(state), self._maps(state, halves, _MAPS)
        except BpfError:  # what is to be looked at is not there any more
            yield Drift.PIN
        else:
            if any(it != left.links.get(name) or _is_detached(it[0], state, name) for name, it in links.items()):
                yield Drift.LINK
            if self._met or maps != left.maps:
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

    def _maps(self, state: planner.State, halves: Halves, names: Collection[str]) -> dict[str, list[int]]:
        """Return checksums of maps that decide."""
        number = state.current
        assert number is not None  # noqa: S101 - something is in force
        found = {}
        for name in names:
            if name in ENTRY_BYTES:
                found[name] = _checksums(halves.half(number, name, state.active))
                continue
            with Map.from_pin(self._layout.maps(number) / name) as its_map:
                found[name] = _checksums(its_map.get(0) or b"" if name in _PROGRAM_ARRAYS else its_map.read())
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


def _checksums(content: bytes | memoryview) -> list[int]:
    return [crc32(content[at : at + BLOCK]) for at in range(0, len(content), BLOCK)]


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
