"""``make torture`` in short, and that it finds what it is there to find."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from pyxdp.bpf import features
from pyxdp.compiler import MapImage
from pyxdp.dataplane.session import Session
from tests.torture.flooding import silent_host
from tests.torture.members import torture_members
from tests.torture.run import Torture, production

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyxdp import planner
    from pyxdp.compiler.members import Delta
    from tests.torture.run import Operations
    from tests.veth.host import Host

pytestmark = pytest.mark.long


@pytest.fixture
def ungoverned(kernel: None) -> Iterator[Host]:
    supported = features.probe().live_frames
    if not supported:
        pytest.skip(f"frames can not be generated: {supported}")
    with silent_host() as host:
        yield host


@pytest.fixture
def torture(ungoverned: Host) -> Iterator[Torture]:
    with closing(Torture(ungoverned)) as made:
        yield made


def test_no_frame_sees_two_policies(torture: Torture) -> None:
    result = torture.run(100)
    assert not result.mixed, result
    assert result.vanished == 0, result
    assert result.sent > 10 * result.switches


def into_the_slot_in_force(slot: int, generation: int, image: MapImage) -> tuple[planner.Operation, ...]:
    """A switch that fills what packets are judged by."""
    return production(0, generation, image)


def before_it_is_filled(slot: int, generation: int, image: MapImage) -> tuple[planner.Operation, ...]:
    """The right slot, in the wrong order."""
    grace, fill, switch = production(slot, generation, image)
    _, empty, _ = production(slot, generation, MapImage({}))
    return grace, empty, switch, fill


@pytest.mark.parametrize("wrong", [into_the_slot_in_force, before_it_is_filled])
def test_a_switch_that_is_none_is_found_out(torture: Torture, wrong: Operations) -> None:
    result = torture.run(40, wrong, patience=1.0)  # what such a switch drops does not come
    assert result.mixed, result


def test_no_neighbour_of_a_member_that_comes_or_goes_is_judged_otherwise(ungoverned: Host) -> None:
    result = torture_members(ungoverned, 300)
    assert not result.wrong, result
    assert result.sent > 100 * result.changes


def test_entries_that_lead_to_what_is_not_written_yet_are_found_out(
    ungoverned: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = Session._write

    def wrong(self: Session, number: int, slot: int, delta: Delta) -> None:
        right(self, number, slot, replace(delta, writes=()))
        right(self, number, slot, replace(delta, flips=()))

    monkeypatch.setattr(Session, "_write", wrong)
    result = torture_members(ungoverned, 100)
    assert result.wrong, result
