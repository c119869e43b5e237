"""``make torture`` in short, and that it finds what it is there to find."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pyxdp.bpf import features
from tests.torture.run import Torture, production, silent_host

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyxdp import planner
    from pyxdp.compiler import MapImage
    from tests.torture.run import Operations


@pytest.fixture
def torture(kernel: None) -> Iterator[Torture]:
    supported = features.probe().live_frames
    if not supported:
        pytest.skip(f"frames can not be generated: {supported}")
    with silent_host() as host:
        yield Torture(host)


def test_no_frame_sees_two_policies(torture: Torture) -> None:
    result = torture.run(100)
    assert not result.mixed, result
    assert result.vanished == 0, result
    assert result.sent > 10 * result.switches


def into_the_slot_in_force(slot: int, generation: int, image: MapImage) -> tuple[planner.Operation, ...]:
    """A switch that fills what packets are judged by."""
    return production(1 - slot, generation, image)


def switched_before_it_is_filled(slot: int, generation: int, image: MapImage) -> tuple[planner.Operation, ...]:
    """The right slot, in the wrong order."""
    grace, fill, switch = production(slot, generation, image)
    return grace, switch, fill


@pytest.mark.parametrize("wrong", [into_the_slot_in_force, switched_before_it_is_filled])
def test_a_switch_that_is_none_is_found_out(torture: Torture, wrong: Operations) -> None:
    result = torture.run(20, wrong)
    assert result.mixed, result
