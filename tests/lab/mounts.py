"""A mount namespace for the test process: its bpffs and its named network namespaces are seen by nobody else.

So is the lock of iptables-legacy, which would make tests wait for, or fail because of, whoever else is at work.

The kernel takes all of it away when the process ends, however it ends. Programs that tests start see it too.
"""

from __future__ import annotations

import ctypes
import os
import secrets
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

CLONE_NEWNS = 0x00020000
CLONE_NEWNET = 0x40000000
MS_BIND = 0x1000
MS_REC = 0x4000
MS_PRIVATE = 1 << 18
MNT_DETACH = 2
BPFFS = Path("/sys/fs/bpf")
NETNS = Path("/run/netns")
LOCK = Path("/run/xtables.lock")

_libc = ctypes.CDLL(None, use_errno=True)


def unshare_mounts() -> None:
    """Move this process into a mount namespace with a fresh bpffs, a fresh /run/netns and a lock of its own."""
    _check(_libc.unshare(CLONE_NEWNS), "unshare")
    mount("none", Path("/"), None, MS_REC | MS_PRIVATE)
    mount("bpf", BPFFS, "bpf")
    NETNS.mkdir(exist_ok=True)
    _own_lock()
    mount("tmpfs", NETNS, "tmpfs")


def _own_lock() -> None:
    """Put a file that nobody else has in the place of the lock. It needs a file system that is mounted nowhere else."""
    LOCK.touch(mode=0o600)
    mount("tmpfs", NETNS, "tmpfs")
    own = NETNS / LOCK.name
    own.touch(mode=0o600)
    mount(str(own), LOCK, None, MS_BIND)
    unmount(NETNS)


def mount(source: str, target: Path, kind: str | None, flags: int = 0, options: str | None = None) -> None:
    """mount(2)."""
    arguments = (source.encode(), os.fsencode(target), kind and kind.encode(), flags, options and options.encode())
    _check(_libc.mount(*arguments), f"mount {target}")


def unmount(target: Path, flags: int = 0) -> None:
    """umount2(2)."""
    _check(_libc.umount2(os.fsencode(target), flags), f"umount {target}")


def set_network_namespace(fd: int) -> None:
    """setns(2) for the calling thread."""
    _check(_libc.setns(fd, CLONE_NEWNET), "setns")


def keep_network_namespace(name: str) -> None:
    """Make a network namespace that lives under a name, as ``ip netns add`` does."""
    place = NETNS / name
    here = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    try:
        place.touch(mode=0o400, exist_ok=False)
        _check(_libc.unshare(CLONE_NEWNET), "unshare")
        mount("/proc/thread-self/ns/net", place, None, MS_BIND)
    finally:
        set_network_namespace(here)
        os.close(here)


def remove_network_namespace(name: str) -> None:
    """Take the name away, and with it the namespace once nobody uses it."""
    unmount(NETNS / name, MNT_DETACH)
    (NETNS / name).unlink()


@contextmanager
def folder_for_pins() -> Iterator[Path]:
    """A folder in the bpffs, empty; removed with all pins in it."""
    folder = BPFFS / f"test-{secrets.token_hex(4)}"
    folder.mkdir()
    try:
        yield folder
    finally:
        _remove_tree(folder)


def _remove_tree(folder: Path) -> None:
    for entry in folder.iterdir():
        if entry.is_dir() and not entry.is_symlink():
            _remove_tree(entry)
        else:
            entry.unlink()
    folder.rmdir()


def _check(result: int, what: str) -> None:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
