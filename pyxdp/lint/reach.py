"""Which packets come to each rule of a chain, and what took the others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from pyxdp.lint.boxes import TooManyPiecesError, bounds_of, narrowed, subtract
from pyxdp.model import Action
from pyxdp.resolver import PolicyClass

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from pyxdp.lint.boxes import Bounds, Box, Effort
    from pyxdp.lint.chains import Chain, Head, Listed, Stage
    from pyxdp.net.values import Family


class Taken(NamedTuple):
    """A box of packets that are decided, and by what."""

    box: Box
    by: Listed | Head
    bounds: Bounds


@dataclass(frozen=True, slots=True)
class Reach:
    """What becomes of the packets of one rule.

    Attributes:
        listed: the rule.
        stage: where it stands.
        left: packets that the rule decides (or logs); ``None`` when that is not known.
        takers: what takes the others; empty when the end of an earlier tier does.
    """

    listed: Listed
    stage: Stage
    left: list[Box] | None
    takers: tuple[Listed | Head, ...] = ()

    @property
    def unreached(self) -> bool:
        """Whether no packet comes to the rule, though it matches some."""
        return self.left == [] and bool(self.listed.boxes)


@dataclass(frozen=True, slots=True)
class Reached:
    """The reach of all rules of a chain.

    Attributes:
        chain: the chain.
        rules: in order.
        open_end: packets may come to the end of the chain.
    """

    chain: Chain
    rules: tuple[Reach, ...]
    open_end: bool

    def allowed(self) -> Iterator[Reach]:
        """Go through the Allow rules that take packets, or may."""
        for reach in self.rules:
            if reach.listed.rule.action is Action.ALLOW and (reach.left is None or reach.left):
                yield reach


def reach_of(chain: Chain, effort: Effort) -> Reached:
    """Follow all packets through a chain."""
    walk = _Walk(effort, _by_family(Taken(box, head, bounds_of([box])) for head in chain.heads for box in head.boxes))
    rules = tuple(reach for stage in chain.stages for reach in walk.through(stage))
    closed = chain.policy_class is PolicyClass.NORMAL or walk.entry == []
    return Reached(chain, rules, not closed)


class _Walk:
    """The state between two stages.

    Attributes:
        entry: packets that may come to the next stage; ``None`` stands for all.
    """

    def __init__(self, effort: Effort, taken: dict[Family, list[Taken]]) -> None:
        self.entry: list[Box] | None = None
        self._effort = effort
        self._taken = taken

    def through(self, stage: Stage) -> Iterator[Reach]:
        here: dict[Family, list[Taken]] = {4: [], 6: []}
        passed: list[Box] = []
        before_pass: dict[Family, list[Taken]] | None = None
        for listed in stage.rules:
            reach = self._reach(listed, stage, here)
            yield reach
            if listed.rule.action is Action.LOG:
                continue
            if listed.rule.action is Action.PASS:
                passed += listed.boxes if reach.left is None else reach.left
                before_pass = before_pass or {family: list(taken) for family, taken in here.items()}
            for box in listed.boxes:
                here[box.family].append(Taken(box, listed, bounds_of([box])))
        if stage.denies:
            self.entry = passed
            self._taken = {4: [], 6: []}
            return
        # Behind a rule with Pass it is not certain that a rule takes what it matches.
        for family, taken in (before_pass or here).items():
            self._taken[family] = self._taken[family] + taken

    def _reach(self, listed: Listed, stage: Stage, here: dict[Family, list[Taken]]) -> Reach:
        left: list[Box] = []
        takers: dict[int, Listed | Head] = {}
        try:
            for family in (4, 6):
                self._effort.spend(len(self.entry or ()))
                boxes = narrowed((box for box in listed.boxes if box.family == family), self.entry)
                for taken in _touching(boxes, (*self._taken[family], *here[family]), self._effort):
                    remaining = subtract(boxes, taken.box, self._effort)
                    if remaining is not boxes:
                        takers[id(taken.by)] = taken.by
                        boxes = remaining
                        if not boxes:
                            break
                left += boxes
        except TooManyPiecesError:
            return Reach(listed, stage, None)
        return Reach(listed, stage, left, tuple(takers.values()))


def _touching(boxes: list[Box], earlier: Sequence[Taken], effort: Effort) -> Iterator[Taken]:
    """Go through what may have something in common with boxes. Most rules have not, and are looked at very often."""
    if not boxes:
        return
    effort.spend(len(earlier))
    first_service, last_service, first_source, last_source, first_destination, last_destination = bounds_of(boxes)
    for taken in earlier:
        bounds = taken.bounds
        if (
            bounds[2] <= last_source
            and bounds[3] >= first_source
            and bounds[0] <= last_service
            and bounds[1] >= first_service
            and bounds[4] <= last_destination
            and bounds[5] >= first_destination
        ):
            yield taken


def _by_family(taken: Iterable[Taken]) -> dict[Family, list[Taken]]:
    found: dict[Family, list[Taken]] = {4: [], 6: []}
    for one in taken:
        found[one.box.family].append(one)
    return found
