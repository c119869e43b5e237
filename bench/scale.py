"""How much is measured: everything in about ten minutes on two cores, or what continuous integration has time for."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from pyxdp.bench.table import Size


@dataclass(frozen=True)
class Scale:
    """How much is measured.

    Attributes:
        name: ``full`` or ``quick``.
        size: of the verdicts.
        applies: how often the large policy is applied from files.
        switches: of policy, in a flood.
        rules: points of the curve against rules.
        prefixes: points of the curve against prefixes.
        rounds: of each point.
        repeat: runs of a program in one measurement of a point.
        services: rounds of the servers.
        flows: sizes of the rule sets that resemble real ones.
    """

    name: str
    size: Size
    applies: int
    switches: int
    rules: tuple[int, ...]
    prefixes: tuple[int, ...]
    rounds: int
    repeat: int
    services: int
    flows: Size

    def limited(self, rules: int | None, prefixes: int | None) -> Scale:
        """Return the same with at most so many rules and prefixes, for work on the measurements themselves."""
        rules, prefixes = rules or 1 << 30, prefixes or 1 << 30

        def cut(size: Size) -> Size:
            return replace(size, rules=min(size.rules, rules), prefixes=min(size.prefixes, prefixes))

        return replace(
            self,
            size=cut(self.size),
            flows=cut(self.flows),
            rules=tuple(it for it in self.rules if it <= rules),
            prefixes=tuple(it for it in self.prefixes if it <= prefixes),
        )


FULL: Final = Scale(
    name="full",
    size=Size(),
    applies=5,
    switches=10_000,
    rules=(1, 10, 100, 1000, 4000, 10_000, 16_000),
    prefixes=(1, 10, 100, 1000, 10_000, 100_000, 1_000_000, 4_000_000),
    rounds=5,
    repeat=300_000,
    services=5,
    flows=Size(),
)
QUICK: Final = Scale(
    name="quick",
    size=Size(rounds=5, repeat=100_000),
    applies=1,
    switches=300,
    rules=(10, 1000),
    prefixes=(10, 1000, 100_000),
    rounds=3,
    repeat=100_000,
    services=1,
    flows=Size(rules=1000, prefixes=100_000, rounds=3, repeat=100_000),
)
SCALES: Final = {scale.name: scale for scale in (FULL, QUICK)}
