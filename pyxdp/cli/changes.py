"""What an apply changes, in the words of the policy: interfaces and rules instead of maps and slots. Pure."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from itertools import groupby
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from pyxdp.abi import Direction
from pyxdp.dataplane import WRITTEN

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from pyxdp.abi import Name
    from pyxdp.planner import State
    from pyxdp.resolver import EffectivePolicy

#: A list of rules of which more than this many change alike is told in one line.
_LISTED: Final = 6


class Place(NamedTuple):
    """Where a rule stands."""

    tier: str
    kind: str
    policy: str
    direction: int
    rule: int

    @property
    def list(self) -> str:
        """The list of rules: ``default/redis ingress``, ``FelixConfiguration/failsafe egress``."""
        return f"{self.tier or self.kind}/{self.policy} {Direction(self.direction).name.lower()}"

    def __str__(self) -> str:
        return f"{self.list}[{self.rule}]"


@dataclass(frozen=True, slots=True)
class RuleChange:
    """One rule that is new, gone, or says something else at the same place.

    Attributes:
        place: where it stands.
        old: its action before; ``None`` when it is new.
        new: its action from now on; ``None`` when it is gone.
    """

    place: Place
    old: str | None
    new: str | None

    @property
    def sign(self) -> str:
        """``+``, ``-`` or ``~``."""
        if self.old is None:
            return "+"
        return "-" if self.new is None else "~"

    @property
    def action(self) -> str:
        """The action, or both when it changes."""
        if self.old and self.new and self.old != self.new:
            return f"{self.old} -> {self.new}"
        return self.new or self.old or ""

    def as_json(self) -> dict[str, Any]:
        """Return the member of ``changes.rules`` in ``docs/cli.md``."""
        names = {"+": "added", "-": "removed", "~": "changed"}
        place = self.place._asdict() | {"direction": Direction(self.place.direction).name.lower()}
        return {"change": names[self.sign], **place, "old_action": self.old, "new_action": self.new}


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """What an apply changes.

    Attributes:
        interfaces: name -> HostEndpoint before and from now on; ``None`` where not governed.
        rules: sorted by place.
    """

    interfaces: Mapping[str, tuple[str | None, str | None]] = field(default_factory=dict)
    rules: tuple[RuleChange, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.interfaces or self.rules)

    def lines(self) -> Iterator[str]:
        """Yield a line for each change; many alike in one list of rules are one line."""
        for name, (old, new) in self.interfaces.items():
            if old is None or new is None:
                yield f"{'+' if old is None else '-'} interface {name}: HostEndpoint/{new or old}"
            else:
                yield f"~ interface {name}: HostEndpoint/{old} -> {new}"
        for (sign, title), group in groupby(self.rules, lambda change: (change.sign, change.place.list)):
            alike = list(group)
            if len(alike) > _LISTED:
                yield f"{sign} {title}: {len(alike):,} rules"
            else:
                yield from (f"{sign} {change.place}: {change.action}" for change in alike)

    def as_json(self) -> dict[str, Any]:
        """Return ``changes`` of ``docs/cli.md``."""
        return {
            "interfaces": [
                {"interface": name, "old_endpoint": old, "new_endpoint": new}
                for name, (old, new) in self.interfaces.items()
            ],
            "rules": [change.as_json() for change in self.rules],
        }


def changes_between(state: State, policy: EffectivePolicy, names: Iterable[Name]) -> Changes:
    """Compare what is in force with what is to be.

    Args:
        state: as read back.
        policy: what is to be.
        names: of the rules that it compiles to.
    """
    before = {it.interface: it.name for it in state.endpoints.values()}
    after = {it.interface.name: it.name for it in policy.endpoints}
    interfaces = {
        name: (before.get(name), after.get(name))
        for name in sorted({*before, *after})
        if before.get(name) != after.get(name)
    }
    return Changes(interfaces=interfaces, rules=rule_changes(state.names.values(), names))


def rule_changes(old: Iterable[Name], new: Iterable[Name]) -> tuple[RuleChange, ...]:
    """Compare rules by identity. One that is gone and one that is new at the same place are a change of that place.

    What nobody wrote, as the end of a tier, follows from the rest and is left out; failsafe ports are configured.
    """
    told = WRITTEN | {"FelixConfiguration"}
    old, new = ([name for name in names if name.kind in told] for names in (old, new))
    known, wanted = {name.identity for name in old}, {name.identity for name in new}
    gone, added = defaultdict(list), defaultdict(list)
    for name in old:
        if name.identity not in wanted:
            gone[_place(name)].append(name.action)
    for name in new:
        if name.identity not in known:
            added[_place(name)].append(name.action)
    changes = []
    for place in sorted({*gone, *added}):
        before, after = gone[place], added[place]
        pairs = min(len(before), len(after))
        changes += [RuleChange(place, *pair) for pair in zip(before, after, strict=False)]
        changes += [RuleChange(place, action, None) for action in before[pairs:]]
        changes += [RuleChange(place, None, action) for action in after[pairs:]]
    return tuple(changes)


def _place(name: Name) -> Place:
    return Place(name.tier, name.kind, name.policy, name.direction, name.rule)
