"""Checks what the demo needs, then runs it where it can neither meet nor leave anything: in namespaces of its own.

The processes of a PID namespace die with its first one, and the kernel takes mounts, network namespaces and what is
pinned away with the last process that sees them. So nothing has to be cleaned up, however the demo ends.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NoReturn

from demo.flood import OBJECT
from pyxdp.bpf import features

ROOT = Path(__file__).parent.parent
PROGRAMS = (
    "unshare",
    "nsenter",
    "mount",
    "sysctl",
    "taskset",
    "redis-server",
    "redis-benchmark",
    "iptables",
    "conntrack",
)
NAMESPACES = ("--mount", "--propagation=private", "--net", "--uts", "--pid", "--fork", "--kill-child", "--mount-proc")


def main() -> int:
    """Run the demo; return its exit status."""
    check()
    return in_namespaces("demo.story")


def in_namespaces(*module: str, **environment: str) -> int:
    """Run a module in namespaces of its own and return its exit status; all that it made goes with its last process.

    Args:
        module: its name, and its arguments.
        environment: what it has besides ours.
    """
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, _: sys.exit(128 + number))
    command = ["unshare", *NAMESPACES, sys.executable, "-m", *module]
    with (
        tempfile.TemporaryDirectory(prefix="pyxdp-") as folder,  # what is applied is not kept for this machine's boot
        subprocess.Popen(command, cwd=ROOT, env={**os.environ, "PYXDP_STATE": folder, **environment}) as process,
    ):
        try:
            return process.wait()
        except KeyboardInterrupt:
            print("\ninterrupted; nothing is left behind", file=sys.stderr)
            return 128 + signal.SIGINT
        finally:
            process.kill()


def check() -> None:
    """End with an error and a hint if something is missing."""
    if os.geteuid() != 0:
        fail("the demo loads BPF programs and makes network namespaces", "run it as root: sudo make demo")
    if missing := [program for program in PROGRAMS if shutil.which(program) is None]:
        fail(f"not installed: {', '.join(missing)}", "make setup installs what the demo needs")
    if not OBJECT.exists():
        fail(f"{OBJECT} is missing", "make setup builds it")
    found = features.probe()
    for name, what in {"capabilities": "privileges", "xdp_link": "XDP links", "kernel_btf": "BTF"}.items():
        support = getattr(found, name)
        if not support:
            fail(f"{what}: {support}", "README.md has the requirements")


def fail(message: str, hint: str) -> NoReturn:
    """Print what is wrong and what would help; exit with the operator's status."""
    print(f"error: {message}\nhint: {hint}", file=sys.stderr)
    sys.exit(3)


if __name__ == "__main__":
    sys.exit(main())
