"""The kernel is asked once for a grace period, and again after everything that packets see."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

import pytest

from pyxdp import bpf, planner
from pyxdp.dataplane.grace import Grace
from pyxdp.errors import BpfError

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.usefixtures("kernel")


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[None]:
    """One element for each time that the kernel was asked."""
    calls: list[None] = []
    ask = bpf.grace_period

    def counted() -> None:
        calls.append(None)
        ask()

    monkeypatch.setattr(bpf, "grace_period", counted)
    return calls


@pytest.fixture
def grace() -> Iterator[Grace]:
    made = Grace()
    yield made
    made.close()


def test_once_is_enough(asked: list[None], grace: Grace) -> None:
    for operation in (planner.AwaitGrace(), planner.WriteNames({}), planner.AwaitGrace(), planner.FreeNames(())):
        grace.note(operation)
        grace.wait()
    assert len(asked) == 1


@pytest.mark.parametrize("operation", [planner.Switch(1, 2), planner.MoveLink("eth0", planner.Instance(1, 0))])
def test_what_packets_see_asks_again(asked: list[None], grace: Grace, operation: planner.Operation) -> None:
    grace.wait()
    grace.note(operation)
    grace.wait()
    grace.wait()
    assert len(asked) == 2


def test_what_was_begun_is_waited_for(asked: list[None], grace: Grace) -> None:
    grace.begin()
    grace.begin()
    grace.wait()
    grace.begin()
    assert len(asked) == 1


def test_what_was_begun_before_an_operation_does_not_count(asked: list[None], grace: Grace) -> None:
    grace.begin()
    grace.note(planner.Switch(0, 3))
    grace.wait()
    assert len(asked) == 2


def test_the_kernel_s_refusal_is_raised_where_it_is_waited_for(monkeypatch: pytest.MonkeyPatch, grace: Grace) -> None:
    def refuse() -> None:
        raise BpfError(errno.EPERM, "a map")

    monkeypatch.setattr(bpf, "grace_period", refuse)
    grace.begin()
    with pytest.raises(BpfError):
        grace.wait()
    monkeypatch.undo()
    grace.wait()
