"""Everything that the checks look at, computed once."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from pyxdp.lint.boxes import Effort
from pyxdp.lint.peers import silent_peers
from pyxdp.lint.places import places_of
from pyxdp.lint.regions import Regions
from pyxdp.lint.view import View

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pyxdp.lint.places import Place, RuleKey
    from pyxdp.lint.world import World


class Survey:
    """The whole policy.

    Attributes:
        world: resolved.
        regions: boxes of rules.
        effort: how much may still be computed.
        views: one for each shape.
        loose: one for each policy that selects no host endpoint.
    """

    def __init__(self, world: World, effort: int) -> None:
        self.world = world
        self.regions = Regions()
        self.effort = Effort(effort)
        self.views = [View(shape, self.regions, self.effort) for shape in world.shapes]
        self.loose = [View(shape, self.regions, self.effort) for shape in world.loose]

    @cached_property
    def places(self) -> Mapping[RuleKey, list[Place]]:
        """Where each rule stands."""
        return places_of((*self.views, *self.loose), self.effort)

    @cached_property
    def silent_peers(self) -> Mapping[tuple[RuleKey, str], tuple[str, ...]]:
        """Host endpoints without addresses that a side of a rule picks."""
        return silent_peers(self.world)
