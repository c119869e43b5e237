"""The units of systemd: what they start exists, and systemd understands them."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import click
import pytest

from pyxdp.cli.commands import cli
from tests.cli.machine import PYXDP

UNITS = sorted((Path(__file__).resolve().parents[2] / "deploy/systemd").glob("*.service"))


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_the_command_line_is_one(unit: Path) -> None:
    (line,) = re.findall(r"^ExecStart=/usr/local/bin/pyxdp (.*)$", unit.read_text(), re.MULTILINE)
    name, *arguments = line.split()
    command = cli.get_command(click.Context(cli), name)
    assert command
    command.make_context(name, arguments, parent=click.Context(cli, obj=None), resilient_parsing=True)
    assert {it for it in arguments if it.startswith("--")} <= {opt for it in command.params for opt in it.opts}


def test_systemd_understands_them(tmp_path: Path) -> None:
    """Where there is a systemd that can say so; the command is where the tests have it."""
    for unit in UNITS:
        (tmp_path / unit.name).write_text(unit.read_text().replace("/usr/local/bin/pyxdp", PYXDP))
    assert len(UNITS) == 2
    if shutil.which("systemd-analyze"):
        names = [str(tmp_path / unit.name) for unit in UNITS]
        done = subprocess.run(["systemd-analyze", "verify", *names], capture_output=True, text=True, check=False)
        assert [line for line in done.stderr.splitlines() if "pyxdp" in line] == []
