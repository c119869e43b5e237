"""docs/python.md is run and its output compared; docs/cli.md knows every option, exit code and JSON member."""

from __future__ import annotations

import json
import re
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import pytest

from pyxdp.cli.commands import cli
from tests.cli.machine import Machine, policy
from tests.lab.network import connect

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.lab.network import Namespace

ROOT = Path(__file__).resolve().parents[2]
BLOCK = re.compile(r"```(\w+)\n(.*?)```", re.DOTALL)


def test_the_python_page_works(netns: Callable[[], Namespace], monkeypatch: pytest.MonkeyPatch) -> None:
    near, _ = connect(netns(), netns())
    with near.namespace.links() as ip:
        ip.link("set", index=near.ifindex, state="down")
        ip.link("set", index=near.ifindex, ifname="eth0")
        ip.addr("add", index=near.ifindex, address="192.0.2.10", prefixlen=24)
        ip.link("set", index=near.ifindex, state="up")
    monkeypatch.chdir(ROOT)
    variables: dict[str, Any] = {}
    printed = StringIO()
    compared = 0
    with near.namespace.entered():
        for language, text in BLOCK.findall((ROOT / "docs/python.md").read_text()):
            if language == "python":
                printed = StringIO()
                with redirect_stdout(printed):
                    exec(compile(text, "docs/python.md", "exec"), variables)  # noqa: S102 -- the page's own code
            else:
                assert printed.getvalue() == text
                compared += 1
    assert compared == 8


def _page() -> str:
    return (ROOT / "docs/cli.md").read_text()


def _commands() -> Iterator[click.Command]:
    context = click.Context(cli)
    for name in cli.list_commands(context):
        command = cli.get_command(context, name)
        assert command
        yield command


def test_the_page_has_every_command_and_option() -> None:
    page = _page()
    for command in _commands():
        assert f"pyxdp {command.name}" in page
        for option in command.params:
            assert not isinstance(option, click.Option) or f"`{option.opts[-1]}" in page, (command.name, option.opts)


def documented(title: str) -> set[str]:
    """Members that the table below ``### title`` lists, as ``a``, ``a[].b``."""
    section = _page().split(f"### {title}\n", 1)[1].split("\n### ", 1)[0].split("\n## ", 1)[0]
    return {
        member.strip("` ")
        for line in section.splitlines()
        if line.startswith("| `")
        for member in line.split("|")[1].split(",")
    }


def members(value: Any, prefix: str = "") -> set[str]:
    """All members of a JSON value, in the page's notation."""
    if isinstance(value, list):
        return {found for item in value for found in members(item, f"{prefix}[]")}
    if not isinstance(value, dict):
        return set()
    found = set()
    for name, item in value.items():
        path = f"{prefix}.{name}" if prefix else name
        found |= {path} | members(item, path)
    return found


#: What is below these is named by the user, the kernel or the plan, not by the page.
OPEN = (
    "cases[].engines.evaluator.",
    "cases[].engines.programs.",
    "changes.rules[].",
    "drift[].",
    "endpoints[].reasons.",
    "maps.",
    "memory.maps.",
    "plan[].",
    "resources.",
    "seconds.",
    "tables.",
)


@pytest.mark.parametrize(
    "arguments",
    [
        ["check", "all.yaml", "--node", "host"],
        ["compile", "all.yaml", "--node", "host"],
        ["test", "cases.yaml", "-f", "all.yaml"],
        ["explain", "-f", "all.yaml", "tcp", "192.0.2.1", "192.0.2.2:53"],
        ["apply", "all.yaml", "--node", "host"],
        ["confirm"],
        ["rollback"],
        ["restore"],
        ["status"],
        ["rules", "--count", "1", "--interval", "0.01"],
        ["delete"],
        ["version"],
    ],
    ids=lambda arguments: arguments[0],
)
def test_the_page_has_every_member(governed: Machine, arguments: list[str]) -> None:
    text = (governed.folder / "redis.yaml").read_text()
    log = {"action": "Log", "protocol": "TCP"}
    governed.write("all.yaml", text + policy("more") + policy("first", ingress=[log], egress=[], order=1))
    governed.write(
        "cases.yaml", "cases: [{name: it, endpoint: hep, packet: {protocol: TCP, dport: 6379}, expect: allow}]"
    )
    if arguments[0] in ("confirm", "rollback"):
        governed.json("apply", "all.yaml", "--node", "host", "--confirm-within", "1h")
    found = {member for member in members(governed.json(*arguments)) if not member.startswith(OPEN)}
    listed = documented(f"pyxdp {arguments[0]} --json")
    assert found <= listed
    assert {member.split("[")[0].split(".")[0] for member in listed} == {
        member.split("[")[0].split(".")[0] for member in found
    }


def test_the_page_has_every_member_of_an_error(machine: Machine) -> None:
    done = machine.run("check", "missing.yaml", "--json")
    assert done.returncode == 2
    assert members(json.loads(done.stdout)) <= documented("Errors")
