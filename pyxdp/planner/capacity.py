"""How large the maps are made.

Growing costs a second object and a move of every link and rule, so maps get room to spare; and some of it must stay,
since addresses that come one by one are written behind what is in use. Small maps are a power of two, and never less
than what keeps small policies from growing at all: with these minimums all maps together take about 3 MiB on two CPUs.
Large ones, which decide how much memory a policy takes, get an eighth more than is needed. Maps never shrink: a policy
of few rules keeps what one of many had, until ``delete``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pyxdp.abi import Counter, Entries, Fan, Limit, Name, Pieces, RowPlace, Rule, Ruleset, sizeof

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pyxdp.planner.state import Table

#: Size of one entry of each map that has slots, in bytes.
ENTRY_BYTES: Final = {
    "rulesets": sizeof(Ruleset),
    "rules": sizeof(Rule),
    "rows": 8,
    "row_index": sizeof(RowPlace),
    "pages": sizeof(Entries),
    "pieces": sizeof(Pieces),
    "ipv6": sizeof(Fan),
}

#: Maps that are indexed by identity.
IDENTITY_MAPS: Final = ("counters", "names")
_IDENTITY_BYTES: Final = {"counters": sizeof(Counter), "names": sizeof(Name)}

_MINIMUM: Final = {
    "rulesets": int(Limit.RULESETS_PER_SLOT),
    "rules": 1024,
    "rows": 16_384,
    "row_index": 4096,
    "pages": 512,
    "pieces": 4096,
    "ipv6": 2048,
    "counters": 1024,
    "names": 1024,
}

#: Maps whose unused end single addresses are written to. Where ``row_index`` is to have room, the image has it already.
_ROOMY: Final = frozenset({"rows", "pages", "pieces", "ipv6"})
#: Which part of the need must be free, and which part is when a map is made.
_LEAST_ROOM: Final = 64
_FRESH_ROOM: Final = 8
#: Up to this size of a half, in bytes, maps are a power of two; beyond, whole quarters of it.
_SMALL: Final = 1 << 20
_STEPS: Final = 4


def needed(tables: Mapping[str, Table], names: Mapping[int, Name]) -> dict[str, int]:
    """Entries of each map that an image occupies."""
    slotted = {name: -(-len(tables.get(name, b"")) // size) for name, size in ENTRY_BYTES.items()}
    return slotted | dict.fromkeys(IDENTITY_MAPS, max(names, default=-1) + 1)


def capacities(need: Mapping[str, int], have: Mapping[str, int]) -> dict[str, int]:
    """Entries that each map should have: what it has where that suffices, else the need with room to spare."""
    return {name: have[name] if _suffices(name, count, have) else _fresh(name, count) for name, count in need.items()}


def _suffices(name: str, need: int, have: Mapping[str, int]) -> bool:
    room = need // _LEAST_ROOM if name in _ROOMY else 0
    return have.get(name, -1) >= need + room


def _fresh(name: str, need: int) -> int:
    size = {**ENTRY_BYTES, **_IDENTITY_BYTES}[name]
    wanted = max(_MINIMUM[name], need + need // _FRESH_ROOM)
    if wanted * size <= _SMALL:
        return 1 << (wanted - 1).bit_length()
    step = _SMALL // size // _STEPS
    return -(-wanted // step) * step
