"""What the running kernel and this process can do, found out by trying where that leaves no trace."""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from pyxdp.bpf._map import Map
from pyxdp.bpf._program import Program
from pyxdp.bpf._raw import PRIVILEGES_HINT, allow_locked_memory, check, errno_of, lib
from pyxdp.bpf._ring import RingBuffer
from pyxdp.bpf._types import MapType, ProgramType
from pyxdp.errors import BpfError

if TYPE_CHECKING:
    from collections.abc import Iterator

BPFFS = "/sys/fs/bpf"
KERNEL_BTF = "/sys/kernel/btf/vmlinux"
CAPABILITIES = {"NET_ADMIN": 12, "SYS_ADMIN": 21, "PERFMON": 38, "BPF": 39}  # bit numbers of linux/capability.h
DROP_ALL = bytes.fromhex("b7000000010000009500000000000000")  # r0 = XDP_DROP; exit


@dataclass(frozen=True, slots=True)
class Supported:
    """The feature works here."""

    def __bool__(self) -> bool:
        return True


@dataclass(frozen=True, slots=True)
class NotSupported:
    """The feature does not work here.

    Attributes:
        minimum_kernel: the first Linux that has it, as ``5.9``; empty if that is not the reason.
        reason: what was observed.
    """

    minimum_kernel: str
    reason: str

    def __bool__(self) -> bool:
        return False


@dataclass(frozen=True, slots=True)
class Unknown:
    """Trying failed for another reason, so there is no answer.

    Attributes:
        reason: why not.
    """

    reason: str

    def __bool__(self) -> bool:
        return False


Support: TypeAlias = Supported | NotSupported | Unknown


@dataclass(frozen=True, slots=True)
class Features:
    """What :func:`probe` found; each is true only if it is supported.

    Attributes:
        xdp_link: XDP attached by a BPF link, which can be pinned and replaced atomically.
        ring_buffer: RINGBUF maps.
        batch_operations: many elements of a map in one system call.
        live_frames: ``BPF_PROG_TEST_RUN`` that sends.
        kernel_btf: the kernel describes its types, as CO-RE objects need.
        bpffs: mounted at /sys/fs/bpf and writable by this process.
        capabilities: this process may load and attach.
    """

    xdp_link: Support
    ring_buffer: Support
    batch_operations: Support
    live_frames: Support
    kernel_btf: Support
    bpffs: Support
    capabilities: Support

    def __iter__(self) -> Iterator[tuple[str, Support]]:
        return ((field.name, getattr(self, field.name)) for field in fields(self))


def probe(bpffs: str = BPFFS) -> Features:
    """Find out what works. Nothing is attached, pinned or left behind.

    Args:
        bpffs: where the bpffs should be mounted.
    """
    return Features(
        xdp_link=_xdp_link(),
        ring_buffer=_ring_buffer(),
        batch_operations=_batch_operations(),
        live_frames=_live_frames(),
        kernel_btf=_kernel_btf(),
        bpffs=_bpffs(bpffs),
        capabilities=_capabilities(),
    )


def _refused(error: BpfError, minimum_kernel: str, *unsupported: int) -> Support:
    """Tell a kernel that does not know something from one that does not let us try."""
    if error.errno in unsupported:
        return NotSupported(minimum_kernel, str(error))
    return Unknown(str(error))


@cache
def _describes(btf: str, name: bytes) -> bool:
    """Whether the kernel's description of its types has a name; it is many megabytes and stays as it is."""
    return name in Path(btf).read_bytes()


def _xdp_link() -> Support:
    # Attaching to try would need an interface without a program. The names in the kernel's description of its own types
    # are as good, and can be read without privileges.
    try:
        known = _describes(KERNEL_BTF, b"\0BPF_LINK_TYPE_XDP\0")
    except OSError as error:
        return Unknown(f"{KERNEL_BTF}: {error.strerror}")
    return Supported() if known else NotSupported("5.9", "the kernel has no XDP links")


def _ring_buffer() -> Support:
    try:
        size = os.sysconf("SC_PAGE_SIZE")
        with Map.create(MapType.RINGBUF, key_size=0, value_size=0, max_entries=size) as ring:
            RingBuffer(ring).close()
    except BpfError as error:
        return _refused(error, "5.8", errno.EINVAL)
    return Supported()


def _batch_operations() -> Support:
    try:
        with Map.create(MapType.ARRAY, key_size=4, value_size=4, max_entries=1) as array:
            list(array.lookup_batch())
    except BpfError as error:
        return _refused(error, "5.6", errno.EINVAL, errno.EOPNOTSUPP)
    return Supported()


def _live_frames() -> Support:
    allow_locked_memory()
    try:
        fd = check(lib.shim_prog_load(ProgramType.XDP, DROP_ALL, len(DROP_ALL) // 8), "can not load a program")
        with Program(fd) as program:
            program.test_run(bytes(64), live_frames=True)
    except BpfError as error:
        return _refused(error, "5.18", errno.EINVAL)
    return Supported()


def _kernel_btf() -> Support:
    if os.access(KERNEL_BTF, os.R_OK):
        return Supported()
    return NotSupported("", f"{KERNEL_BTF} is missing: the kernel was built without CONFIG_DEBUG_INFO_BTF")


def _bpffs(path: str) -> Support:
    result = lib.shim_is_bpffs(os.fsencode(path))
    if result < 0:
        return NotSupported("", f"{path}: {os.strerror(errno_of(result))}")
    if not result:
        return NotSupported("", f"no bpffs is mounted at {path}; mount one with: mount -t bpf bpf {path}")
    if not os.access(path, os.W_OK | os.X_OK):
        return NotSupported("", f"the bpffs at {path} is not writable")
    return Supported()


def _capabilities() -> Support:
    effective = 0
    with suppress(OSError), Path("/proc/self/status").open(encoding="ascii") as status:
        effective = next(int(line.split()[1], 16) for line in status if line.startswith("CapEff:"))
    missing = [name for name, bit in CAPABILITIES.items() if not effective >> bit & 1]
    # CAP_SYS_ADMIN includes BPF and PERFMON, and was needed for everything before Linux 5.8 split them off.
    if missing in ([], ["SYS_ADMIN"]) or not {"NET_ADMIN", "SYS_ADMIN"} & set(missing):
        return Supported()
    needed = [name for name in missing if name != "SYS_ADMIN"]
    return NotSupported("", f"this process lacks the capabilities {', '.join(needed)}; {PRIVILEGES_HINT}")
