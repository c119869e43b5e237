"""A policy that needs larger maps, up to a million CIDRs, while packets arrive: moved without a gap, counted on."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from pyxdp import netlink, planner
from pyxdp.dataplane.status import map_memory
from pyxdp.manifest import loads
from pyxdp.net.prefixes import NO_PREFIXES, Prefixes
from pyxdp.resolver import resolve
from tests.lab.waiting import wait_until
from tests.veth.host import NODE, Host, network_set, normal, open_endpoint, service, untracked
from tests.veth.test_death import NEVER, talking

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pyxdp.dataplane import Report, Step
    from pyxdp.resolver import EffectivePolicy

pytestmark = pytest.mark.long

MIB = 1 << 20


def addresses(count: int) -> Prefixes:
    """So many different addresses, spread over everything but the networks of tests."""
    chance = np.random.default_rng(count)
    drawn = np.unique(chance.integers(11 << 24, 224 << 24, count * 11 // 10, dtype=np.uint64))
    kept = np.sort(chance.permutation(drawn)[:count])
    return Prefixes.of_arrays(kept << np.uint64(8) | np.uint64(32), NO_PREFIXES.ipv6)


def policy(host: Host, blocked: int, rules: int = 0) -> EffectivePolicy:
    """What denies so many addresses, two services, and with so many rules more."""
    deny = [{"action": "Deny", "protocol": "UDP", "source": {"selector": "set == 'many'"}}]
    closed = [
        {"action": "Deny", "protocol": "TCP", "source": {"nets": [f"172.16.{n >> 8}.{n & 255}/32"]}}
        for n in range(rules)
    ]
    text = (
        open_endpoint(host.end.name)
        + network_set("many", ["192.0.2.1/32"])
        + untracked("many", ingress=deny, egress=[], order=5)
        + service(7000, "Deny")
        + service(NEVER, "Deny")
        + "".join(
            normal(f"closed-{at}", ingress=closed[at : at + 1000], egress=[{"action": "Allow"}])
            for at in range(0, rules, 1000)
        )
        + (normal("rest", ingress=[{"action": "Allow"}], egress=[{"action": "Allow"}], order=99) if rules else "")
    )
    resources = loads(text).resources
    sets = tuple(replace(one, nets=addresses(blocked)) for one in resources.globalNetworkSets)
    with host.space.entered():
        return resolve(replace(resources, globalNetworkSets=sets), NODE, netlink.interfaces())


def apply(host: Host, wanted: EffectivePolicy, on_progress: Callable[[Step], None] = lambda _: None) -> Report:
    with host.space.entered():
        return host.dataplane().apply(wanted, on_progress=on_progress)


def kinds(report: Report) -> set[str]:
    return {type(operation).__name__ for operation in report.plan.operations}


def denied(host: Host) -> int:
    """Packets that the rules for the port 7000 have matched."""
    return sum(it.packets for it in host.status().rules if it.policy == "deny-7000")


@contextmanager
def under_traffic(host: Host) -> Iterator[None]:
    """A connection gets every answer meanwhile, and what is denied never arrives."""
    over, rounds, failed = threading.Event(), [0], []

    def run() -> None:
        try:
            with talking(host) as alive:
                while not over.is_set():
                    assert alive()
                    rounds[0] += 1
        except BaseException as error:  # noqa: BLE001 - told to the test
            failed.append(error)
            rounds[0] += 1

    thread = threading.Thread(target=run)
    thread.start()
    try:
        wait_until(lambda: rounds[0])
        yield
        before = rounds[0]
        wait_until(lambda: rounds[0] > before)
    finally:
        over.set()
        thread.join()
    assert not failed


def test_growth_to_a_million_addresses_and_back(host: Host) -> None:
    apply(host, policy(host, 100))
    assert host.is_silent("udp", 7000)
    assert memory(host) <= 8 * MIB
    for blocked, rules in ((30_000, 0), (1_000_000, 10_000)):
        before = denied(host)
        steps: list[Step] = []
        with under_traffic(host):
            grown = apply(host, policy(host, blocked, rules), steps.append)
        assert {"CreateObject", "CopyMaps", "MoveLink", "RemoveObject"} <= kinds(grown)
        assert not {"AttachXdp", "Detach"} & kinds(grown)
        assert denied(host) == before
        assert host.is_silent("udp", 7000)
        assert denied(host) == before + 1
    assert memory(host) <= 256 * MIB
    filling = [step.fraction for step in steps if isinstance(step.operation, planner.FillSlot)]
    assert filling == sorted(filling)
    assert len(filling) > 50, "a bar moves"
    told = host.status().memory
    with under_traffic(host):
        shrunk = apply(host, policy(host, 100))
    assert "CreateObject" not in kinds(shrunk)
    assert host.status().memory == told, "maps stay as large as they are"
    assert host.is_silent("udp", 7000)
    assert denied(host) == before + 2
    assert host.can_talk("udp", 7001)
    assert not host.status().drift
    assert not apply(host, policy(host, 100)).plan


def memory(host: Host) -> int:
    """Kernel memory of all our maps."""
    (found,) = (host.bpffs / "pyxdp/v1/objects").iterdir()
    told = map_memory(found / "maps")
    assert told == host.status().memory
    return sum(told.values())
