"""What status says while somebody else is just changing what it looks at."""

from __future__ import annotations

import threading
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from pyxdp.dataplane import Dataplane, dataplane
from pyxdp.dataplane.bpffs import exclusive
from pyxdp.errors import OperatorError
from tests.veth.host import endpoint, service

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager
    from pathlib import Path

    from tests.veth.host import Host


def test_before_the_first_switch_nothing_is_in_force(host: Host) -> None:
    """Whatever is there already: packets still pass."""
    seen = []

    def look(_: object) -> None:
        found = host.status()
        seen.append((found.applied, found.generation, bool(found.rules), bool(found.endpoints)))

    host.apply(endpoint(host.end.name) + service(6379), on_progress=look)
    look(None)
    assert set(seen) == {(False, 0, False, False), (True, 1, True, True)}
    assert seen == sorted(seen)


def test_what_is_just_being_replaced_is_looked_at_when_that_is_done(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    host.apply(endpoint(host.end.name) + service(6379))
    pin = host.bpffs / "pyxdp/v1/maps/names"
    aside = pin.rename(pin.with_name("aside"))
    changing = ExitStack()
    changing.enter_context(exclusive(host.bpffs, 0, lambda: None))

    def wait(bpffs: Path, timeout: float, on_wait: Callable[[], None]) -> AbstractContextManager[None]:
        """It ends while somebody waits for it."""
        aside.rename(pin)
        threading.Timer(0.05, changing.close).start()
        return exclusive(bpffs, timeout, on_wait)

    monkeypatch.setattr(dataplane, "exclusive", wait)
    assert host.status().generation == 1


def test_a_change_that_never_ends_keeps_nobody_waiting(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    host.apply(endpoint(host.end.name) + service(6379))
    (host.bpffs / "pyxdp/v1/maps/names").unlink()
    monkeypatch.setattr(dataplane, "_STATUS_WAITS", 0.05)
    with (
        host.space.entered(),
        exclusive(host.bpffs, 0, lambda: None),
        pytest.raises(OperatorError, match="damaged"),
    ):
        Dataplane(host.bpffs).status()
