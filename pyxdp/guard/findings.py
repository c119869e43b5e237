"""What a guard says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyxdp.evaluator import Direction
    from pyxdp.model import Origin
    from pyxdp.trial import RuleName


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """Flows that must live, that live now, and that the new policy would end.

    Attributes:
        what: one of them, for people.
        others: how many more there are that the very same ends.
        interface: where.
        direction: of the packets that would be denied.
        rule: that would deny them; ``None`` when it is the absence of one, and ``reason`` says why.
        origin: where the rule is written; empty for what nobody wrote.
        reason: a name of ``enum pyxdp_reason``.
    """

    what: str
    interface: str
    direction: Direction
    origin: Origin
    rule: RuleName | None = None
    others: int = 0
    reason: str = ""

    def __str__(self) -> str:
        place = f"{self.origin}: " if self.origin.line else ""
        who = f"{self.rule} ({self.rule.action})" if self.rule and self.rule.action else str(self.rule or self.reason)
        more = f" and {self.others:,} more" if self.others else ""
        return f"{place}{who} would cut {self.what}{more}: {self.direction.value.lower()} on {self.interface}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """What came out of a check.

    Attributes:
        cuts: what would be cut.
        warnings: what would not be cut, and is worth a thought, a sentence each.
    """

    cuts: tuple[Cut, ...] = ()
    warnings: tuple[str, ...] = ()
