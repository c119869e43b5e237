"""What a stranger changes is found, repaired and counted."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pyxdp.bpf import Link, Map
from tests.agent.running import Running, running, write
from tests.veth.host import Host, open_endpoint, service

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@pytest.fixture
def at_work(host: Host, folder: Path) -> Iterator[Running]:
    write(folder, "a.yaml", open_endpoint(host.end.name) + service(7001, "Deny"))
    with running(host, folder) as it:
        it.wait_for(lambda view: view.enforcing and view.status)
        yield it


def detach_link(host: Host) -> None:
    with Link.from_pin(host.bpffs / "pyxdp/v1/links" / host.end.name) as link:
        link.detach()


def remove_link_pin(host: Host) -> None:
    (host.bpffs / "pyxdp/v1/links" / host.end.name).unlink()


def remove_program_pin(host: Host) -> None:
    (host.bpffs / "pyxdp/v1/programs" / host.end.name / "in_deny").unlink()


def remove_programs_symlink(host: Host) -> None:
    (host.bpffs / "pyxdp/v1/programs" / host.end.name).unlink()


def remove_maps_symlink(host: Host) -> None:
    (host.bpffs / "pyxdp/v1/maps").unlink()


def remove_map_pin(host: Host) -> None:
    (host.bpffs / "pyxdp/v1/maps/rulesets").unlink()


def remove_every_map_pin(host: Host) -> None:
    for pin in (host.bpffs / "pyxdp/v1/maps/").iterdir():
        pin.unlink()


def remove_the_mark(host: Host) -> None:
    """And a map, so that nothing is as it was."""
    (mark,) = (host.bpffs / "pyxdp/v1/objects/1").glob("build-*")
    mark.rmdir()
    remove_map_pin(host)


def remove_everything(host: Host) -> None:
    with host.space.entered():
        host.dataplane().delete()


def flush_raw(host: Host) -> None:
    host.space.run("iptables", "-t", "raw", "-F")


def delete_a_rule(host: Host) -> None:
    rules = host.space.run("ip6tables", "-t", "mangle", "-S").stdout.splitlines()
    mine = next(it for it in rules if it.startswith("-A PYXDP-") and host.end.name in it)
    host.space.run("sh", "-c", f"ip6tables -t mangle -D {mine[3:]}")


def flush_ruleset(host: Host) -> None:
    for tool in ("iptables", "ip6tables"):
        for table in ("raw", "mangle", "filter"):
            host.space.run(tool, "-t", table, "-F")
            host.space.run(tool, "-t", table, "-X")


def change_a_map(host: Host) -> None:
    """All rules of the slot in force become something else."""
    with Map.from_pin(host.bpffs / "pyxdp/v1/maps/rules") as rules:
        data = rules.read()
        rules.write(0, bytes(len(data)))


def empty_questions(host: Host) -> None:
    with Map.from_pin(host.bpffs / "pyxdp/v1/maps/questions") as questions:
        questions.delete(0)


@pytest.mark.parametrize(
    ("harm", "kinds"),
    [
        (detach_link, {"link"}),
        (remove_link_pin, {"pin"}),
        (remove_program_pin, {"pin"}),
        (remove_programs_symlink, {"pin"}),
        (remove_maps_symlink, {"pin"}),
        (remove_map_pin, {"pin"}),
        (remove_every_map_pin, {"pin"}),
        (remove_the_mark, {"pin"}),
        (remove_everything, {"pin", "rules"}),
        (flush_raw, {"rules"}),
        (delete_a_rule, {"rules"}),
        (flush_ruleset, {"rules"}),
        (change_a_map, {"map"}),
        (empty_questions, {"map"}),
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
