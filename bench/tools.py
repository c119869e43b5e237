"""Which versions of which tools took part."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Final

#: Name -> command that tells its version.
_COMMANDS: Final = {
    "iptables": ("iptables", "--version"),
    "ipset": ("ipset", "--version"),
    "nft": ("nft", "--version"),
    "xdp-filter": ("xdp-filter", "load", "--version"),
    "redis-server": ("redis-server", "--version"),
    "redis-benchmark": ("redis-benchmark", "--version"),
    "memcached": ("memcached", "--version"),
    "memcaslap": ("memcaslap", "--version"),
    "clang": ("clang", "--version"),
}


def tools() -> dict[str, str]:
    """Return the first line that each tool prints of its version; ``not installed`` where it is."""
    found = {name: _version(command) for name, command in _COMMANDS.items()}
    for line in Path("/proc/self/maps").read_text(encoding="utf-8", errors="replace").splitlines():
        if library := re.search(r"/libbpf\.so\.([0-9.]+)$", line):
            found["libbpf"] = library[1]
    return found


def _version(command: tuple[str, ...]) -> str:
    if shutil.which(command[0]) is None:
        return "not installed"
    said = subprocess.run(command, capture_output=True, text=True, check=False, timeout=10)
    lines = (said.stdout + said.stderr).strip().splitlines()
    return lines[0].strip() if lines else "installed"


def commit() -> str:
    """Which commit of the project this is; with ``+`` when files differ from it; empty outside a git checkout."""
    root = str(Path(__file__).parent.parent)
    asked = ["git", "-c", "safe.directory=*", "-C", root, "describe", "--always", "--dirty=+"]
    return subprocess.run(asked, capture_output=True, text=True, check=False).stdout.strip()
