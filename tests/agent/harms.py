"""What a stranger may do to a governed host."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING, Final

from pyxdp.bpf import Link, Map

if TYPE_CHECKING:
    from tests.veth.host import Host

#: Tool and name of every table that has rules of ours.
TABLES: Final = tuple(product(("iptables", "ip6tables"), ("raw", "mangle", "filter")))


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
    (mark,) = (host.bpffs / "pyxdp/v1/objects").glob("*/build-*")
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
    for tool, table in TABLES:
        host.space.run(tool, "-t", table, "-F")
        host.space.run(tool, "-t", table, "-X", check=False)  # the agent may have filled it meanwhile


def change_a_map(host: Host) -> None:
    """All rules of the slot in force become something else."""
    with Map.from_pin(host.bpffs / "pyxdp/v1/maps/rules") as rules:
        data = rules.read()
        rules.write(0, bytes(len(data)))


def empty_questions(host: Host) -> None:
    with Map.from_pin(host.bpffs / "pyxdp/v1/maps/questions") as questions:
        questions.delete(0)


def change_names(host: Host) -> None:
    """The first counter gets the name of none."""
    with Map.from_pin(host.bpffs / "pyxdp/v1/maps/names") as names:
        names.write(0, bytes(names.element_size))
