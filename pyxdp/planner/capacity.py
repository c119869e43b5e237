"""How large the maps are made.

Growing costs a second object and a move of every link and rule, so maps get headroom: the next power of two, and never
less than what keeps small policies from growing at all. With these minimums all maps together take about 4 MiB.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pyxdp.abi import Limit, Range, Rule, Ruleset, sizeof

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pyxdp.abi import Name

#: Size of one entry of each map that has slots, in bytes.
ENTRY_BYTES: Final = {
    "rulesets": sizeof(Ruleset),
    "rules": sizeof(Rule),
    "rows": 8,
    "pages": 4,
    "ranges": sizeof(Range),
    "range_index": 8,
}

#: Maps that are indexed by identity.
IDENTITY_MAPS: Final = ("counters", "names")

_MINIMUM: Final = {
    "rulesets": int(Limit.RULESETS_PER_SLOT),
    "rules": 1024,
    "rows": 16_384,
    "pages": 384 * int(Limit.PAGE_ENTRIES),
    "ranges": 4096,
    "range_index": 4096,
    "counters": 1024,
    "names": 1024,
}


def needed(tables: Mapping[str, bytes], names: Mapping[int, Name]) -> dict[str, int]:
    """Entries of each map that an image occupies."""
    slotted = {name: -(-len(tables.get(name, b"")) // size) for name, size in ENTRY_BYTES.items()}
    return slotted | dict.fromkeys(IDENTITY_MAPS, max(names, default=-1) + 1)


def capacities(need: Mapping[str, int], have: Mapping[str, int]) -> dict[str, int]:
    """Entries that each map should have: what it has where that suffices, else the need with headroom."""
    return {name: have[name] if have.get(name, -1) >= count else _roomy(name, count) for name, count in need.items()}


def _roomy(name: str, count: int) -> int:
    return max(_MINIMUM[name], 1 << (count - 1).bit_length() if count else 0)
