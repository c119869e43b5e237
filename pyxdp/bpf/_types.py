"""Numbers of the kernel's interface, as its ``linux/bpf.h`` has them."""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    from typing_extensions import Buffer as AnyBuffer

Buffer: TypeAlias = bytes | bytearray | memoryview
#: What offers contiguous memory, such as an array of numpy; its ``len`` may count something else than bytes.
Contiguous: TypeAlias = "AnyBuffer"
Mode: TypeAlias = Literal["native", "generic"]


class MapType(IntEnum):
    """``enum bpf_map_type``, those that firewalls meet."""

    HASH = 1
    ARRAY = 2
    PROG_ARRAY = 3
    PERF_EVENT_ARRAY = 4
    PERCPU_HASH = 5
    PERCPU_ARRAY = 6
    LRU_HASH = 9
    LRU_PERCPU_HASH = 10
    LPM_TRIE = 11
    ARRAY_OF_MAPS = 12
    HASH_OF_MAPS = 13
    DEVMAP = 14
    CPUMAP = 16
    XSKMAP = 17
    QUEUE = 22
    STACK = 23
    DEVMAP_HASH = 25
    RINGBUF = 27


class MapFlag(IntEnum):
    """``BPF_F_*`` for :meth:`pyxdp.bpf.Map.create`."""

    NO_PREALLOC = 1 << 0
    MMAPABLE = 1 << 10


class Update(IntEnum):
    """What :meth:`pyxdp.bpf.Map.update` may do."""

    ANY = 0
    NEW = 1
    EXISTING = 2


class ProgramType(IntEnum):
    """``enum bpf_prog_type``, those that firewalls meet."""

    SOCKET_FILTER = 1
    KPROBE = 2
    SCHED_CLS = 3
    SCHED_ACT = 4
    TRACEPOINT = 5
    XDP = 6
    CGROUP_SKB = 8
    TRACING = 26
    NETFILTER = 32


class LinkType(IntEnum):
    """``enum bpf_link_type``, those that firewalls meet."""

    TRACING = 2
    CGROUP = 3
    NETNS = 5
    XDP = 6
    NETFILTER = 10
    TCX = 11


class XdpAction(IntEnum):
    """``enum xdp_action``: what an XDP program returns."""

    ABORTED = 0
    DROP = 1
    PASS = 2
    TX = 3
    REDIRECT = 4
