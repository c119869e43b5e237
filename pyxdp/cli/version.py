"""``pyxdp version``."""

from __future__ import annotations

import os
import re
from hashlib import sha256
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

import pyxdp
from pyxdp.abi import AbiVersion
from pyxdp.cli.commands import command as make_command

if TYPE_CHECKING:
    from pyxdp.cli.commands import Settings


@make_command(name="version")
def command(settings: Settings) -> None:
    """Print the versions of all that takes part."""
    found = {
        "pyxdp": pyxdp.__version__,
        "abi": int(AbiVersion.VERSION),
        "object": sha256((files("pyxdp") / "pyxdp.bpf.o").read_bytes()).hexdigest(),
        "libbpf": _libbpf(),
        "kernel": os.uname().release,
        "machine": os.uname().machine,
    }
    for name, value in found.items():
        settings.output.line(f"{name:8} {value}")
    settings.output.document(found)


def _libbpf() -> str:
    """Version of the shared library that this process has loaded: the file's name tells the patch level."""
    import pyxdp.bpf  # noqa: F401, PLC0415 - loads it

    for line in Path("/proc/self/maps").read_text(encoding="utf-8", errors="replace").splitlines():
        if found := re.search(r"/libbpf\.so\.([0-9.]+)$", line):
            return found[1]
    return "unknown"
