"""What a stranger changes is found, repaired and counted."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.agent import harms
from tests.agent.running import Running, running, write
from tests.veth.host import open_endpoint, service

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.veth.host import Host


@pytest.fixture
def at_work(host: Host, folder: Path) -> Iterator[Running]:
    write(folder, "a.yaml", open_endpoint(host.end.name) + service(7001, "Deny"))
    with running(host, folder) as it:
        it.wait_for(lambda view: view.enforcing and view.status)
        yield it


@pytest.mark.parametrize(
    ("harm", "kinds"),
    [
        (harms.detach_link, {"link"}),
        (harms.remove_link_pin, {"pin"}),
        (harms.remove_program_pin, {"pin"}),
        (harms.remove_programs_symlink, {"pin"}),
        (harms.remove_maps_symlink, {"pin"}),
        (harms.remove_map_pin, {"pin"}),
        (harms.remove_every_map_pin, {"pin"}),
        (harms.remove_the_mark, {"pin"}),
        (harms.remove_everything, {"pin", "rules"}),
        (harms.flush_raw, {"rules"}),
        (harms.delete_a_rule, {"rules"}),
        (harms.flush_ruleset, {"rules"}),
        (harms.change_a_map, {"map"}),
        (harms.empty_questions, {"map"}),
    ],
)
def test_what_a_stranger_does_is_repaired(at_work: Running, harm: Callable[[Host], None], kinds: set[str]) -> None:
    host = at_work.host
    good = host.space.run("iptables-save").stdout.count("PYXDP")
    before = dict(at_work.view.repairs)
    harm(host)
    view = at_work.wait_for(lambda view: view.repairs != before and view.enforcing)
    assert kinds <= set(view.repairs)
    assert host.is_silent("udp", 7001)
    assert host.can_talk("udp", 7002)
    assert host.space.run("iptables-save").stdout.count("PYXDP") == good
    assert not host.status().drift
    looked = view.status_ns
    view = at_work.wait_for(lambda view: view.status_ns > looked)
    assert view.applies["repair"] == 1, "and nothing more is found"
