"""Runs the pages of ``docs/``: every ``console`` block on a machine like the one that the pages speak of.

That machine is called redis-1 only in its policies; it has ``eth0`` with 10.20.0.1, and a client at 10.20.0.2. A line
of a block that begins with ``#`` is a command, what follows is what it prints. ``<!-- traffic -->`` is where a client,
and somebody who is none, have tried to reach Redis.
"""

from __future__ import annotations

import os
import re
import shlex
import socket
import subprocess
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tests.cli.inside import run_inside
from tests.lab.flows import PATIENCE, SILENCE
from tests.lab.network import connect

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.lab.network import Interface, Namespace

ROOT = Path(__file__).resolve().parents[2]
BLOCK = re.compile(r"```console\n(.*?)```|<!-- (traffic) -->", re.DOTALL)
#: What needs no shell.
PLAIN = re.compile(r"pyxdp [-\w./,:=@' ]+")
STRANGER = "198.51.100.9"
REDIS = ("10.20.0.1", 6379)


@dataclass(frozen=True)
class Block:
    """Commands with their output.

    Attributes:
        text: as the page has it.
        commands: without their ``#``.
    """

    text: str

    @property
    def commands(self) -> list[str]:
        return [line[2:] for line in self.text.splitlines() if line.startswith("# ")]


@contextmanager
def machine(netns: Callable[[], Namespace]) -> Iterator[Callable[[Block], str]]:
    """Make the machine; what it gives runs a block there and returns the text that the page should have."""
    host, client = netns(), netns()
    near, far = connect(host, client)
    for space in (host, client):
        space.sysctl("net/ipv6/conf/all/disable_ipv6", 1)  # what IPv6 says by itself would be counted
    for end, addresses in ((near, [REDIS[0]]), (far, ["10.20.0.2", STRANGER])):
        _rename(end)
        for address in addresses:
            end.namespace.run("ip", "address", "add", f"{address}/24", "dev", "eth0")
    host.run("ip", "route", "add", "default", "via", "10.20.0.2")
    path = os.pathsep.join([str(ROOT / ".venv/bin"), os.environ["PATH"]])
    with host.entered(), socket.create_server(REDIS):
        yield lambda block: _run(block, path, client)


def _run(block: Block, path: str, client: Namespace) -> str:
    if block.text == "traffic":
        with client.entered():
            assert _reaches_redis("10.20.0.2", PATIENCE)
            assert not _reaches_redis(STRANGER, SILENCE)
        return block.text
    env = {"PATH": path, "TZ": "UTC", "COLUMNS": "120"}
    return "".join(f"# {command}\n{_output(command, env)}" for command in block.commands)


def _output(command: str, env: dict[str, str]) -> str:
    if PLAIN.fullmatch(command):
        return run_inside(ROOT, *shlex.split(command)[1:], env=env, merged=True).stdout
    both = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    return subprocess.run(
        ["bash", "-c", command], cwd=ROOT, env=os.environ | env, text=True, check=False, **both
    ).stdout


def _reaches_redis(source: str, patience: float) -> bool:
    try:
        with socket.create_connection(REDIS, timeout=patience, source_address=(source, 0)):
            return True
    except TimeoutError:
        return False


def _rename(end: Interface) -> None:
    end.namespace.run("ip", "link", "set", "dev", end.name, "down")
    end.namespace.run("ip", "link", "set", "dev", end.name, "name", "eth0")
    end.namespace.run("ip", "link", "set", "dev", "eth0", "up")


def blocks(page: Path) -> list[Block]:
    """What a page has to run, in order."""
    return [Block(found[1] or found[2]) for found in BLOCK.finditer(page.read_text())]
