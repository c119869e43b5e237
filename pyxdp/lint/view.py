"""A shape with its chains: what packets meet there."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from pyxdp.lint.chains import chains_of
from pyxdp.lint.course import course
from pyxdp.lint.example import sample
from pyxdp.lint.finding import Example
from pyxdp.lint.reach import reach_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pyxdp.lint.boxes import Box, Effort
    from pyxdp.lint.chains import Chain
    from pyxdp.lint.course import Outcome
    from pyxdp.lint.reach import Reached
    from pyxdp.lint.regions import Regions
    from pyxdp.lint.world import Shape
    from pyxdp.net import Packet
    from pyxdp.resolver import Direction, PolicyClass


class View:
    """A shape with its chains.

    Attributes:
        shape: the shape.
        chains: by class and direction.
    """

    def __init__(self, shape: Shape, regions: Regions, effort: Effort) -> None:
        self.shape = shape
        self.chains: Mapping[tuple[PolicyClass, Direction], Chain] = chains_of(shape, regions)
        self._effort = effort

    @cached_property
    def reached(self) -> Mapping[tuple[PolicyClass, Direction], Reached]:
        """Which packets come to which rule."""
        return {key: reach_of(chain, self._effort) for key, chain in self.chains.items()}

    def sample(self, boxes: Iterable[Box], direction: Direction) -> Packet:
        """Return a packet out of boxes, to or from this endpoint if possible."""
        addresses = (address for endpoint in self.shape.endpoints for address in endpoint.expectedIPs)
        return sample(boxes, direction, addresses)

    def judge(
        self, packet: Packet, direction: Direction, *, forwarded: bool = False, translated: Packet | None = None
    ) -> Outcome:
        """Say what becomes of a packet."""
        return course(self.chains, direction, packet, forwarded=forwarded, translated=translated)

    def example(self, packet: Packet, direction: Direction, *, forwarded: bool = False) -> Example:
        """Return a packet with what becomes of it."""
        outcome = self.judge(packet, direction, forwarded=forwarded)
        name = self.shape.endpoints[0].metadata.name
        return Example(packet, direction, name, forwarded, outcome.text)
