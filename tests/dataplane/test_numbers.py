"""Numbers for the compiler: what lives on keeps its own, and what does not fit is told before anything is touched."""

from __future__ import annotations

import pytest

from pyxdp import planner
from pyxdp.abi import Endpoint, Name
from pyxdp.dataplane import numbers
from pyxdp.dataplane.numbers import KnownNumbers
from pyxdp.errors import CapacityError


def name(identity: int) -> Name:
    return Name("default", "policy", "GlobalNetworkPolicy", "Allow", 0, 0, identity)


def test_identities_keep_their_counters() -> None:
    known = KnownNumbers(planner.State(names={0: name(70), 2: name(71)}), {})
    assert known.counters([71, 72, 73]) == {71: 2, 72: 1, 73: 3}


def test_more_identities_than_counters(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(numbers, "MAX_COUNTERS", 3)
    with pytest.raises(CapacityError) as caught:
        KnownNumbers(planner.State(names={0: name(70)}), {}).counters([71, 72, 73])
    assert (caught.value.needed, caught.value.limit) == (4, 3)
    assert "rules" in str(caught.value)
    assert caught.value.hint


def test_interfaces_keep_their_endpoints() -> None:
    known = KnownNumbers(planner.State(endpoints={1: Endpoint(7, 0, "eth0", "hep")}), {"eth0": 7, "eth1": 8})
    assert known.endpoints(["eth1", "eth0"]) == {"eth1": 0, "eth0": 1}


def test_more_interfaces_than_endpoints() -> None:
    there = planner.State(endpoints={5: Endpoint(7, 0, "gone", "hep")})
    assert len(KnownNumbers(there, {}).endpoints(f"eth{at}" for at in range(255))) == 255
    with pytest.raises(CapacityError) as caught:
        KnownNumbers(there, {}).endpoints(f"eth{at}" for at in range(256))
    assert (caught.value.needed, caught.value.limit) == (257, 256)
    assert "governed interfaces" in str(caught.value)
    assert caught.value.hint
