"""A thin, typed wrapper around libbpf: objects, maps, programs, links, ring buffers, pins and probes.

It knows nothing of policies and can be used by itself; ``docs/libbpf-wrapper.md`` begins with five lines that attach a
program of one's own. Works with libbpf 0.5 to 1.x; what needs a kernel newer than 5.9 says so.

Everything that owns a file descriptor is a context manager. Every failure is a :class:`~pyxdp.errors.BpfError`, which
is also an :class:`OSError`, with its ``errno``, one line that names the object, and a hint where one is known.
"""

from pyxdp.bpf import _features as features
from pyxdp.bpf._features import Features, NotSupported, Support, Supported, Unknown
from pyxdp.bpf._frame import PreparedFrame
from pyxdp.bpf._link import Link, LinkInfo
from pyxdp.bpf._map import Map, MapInfo
from pyxdp.bpf._memory import Memory
from pyxdp.bpf._object import Object, ObjectMap, ObjectProgram, ReadOnlyData
from pyxdp.bpf._pin import replace_pin, unpin
from pyxdp.bpf._program import Program, ProgramInfo, TestRun
from pyxdp.bpf._raw import Handle, num_possible_cpus
from pyxdp.bpf._ring import RingBuffer
from pyxdp.bpf._sync import grace_period
from pyxdp.bpf._types import LinkType, MapFlag, MapType, ProgramType, Update, XdpAction
from pyxdp.errors import (
    AttachError,
    BpfError,
    MapFullError,
    MapIncompatibleError,
    NotSupportedError,
    PinError,
    VerifierError,
)

__all__ = [
    "AttachError",
    "BpfError",
    "Features",
    "Handle",
    "Link",
    "LinkInfo",
    "LinkType",
    "Map",
    "MapFlag",
    "MapFullError",
    "MapIncompatibleError",
    "MapInfo",
    "MapType",
    "Memory",
    "NotSupported",
    "NotSupportedError",
    "Object",
    "ObjectMap",
    "ObjectProgram",
    "PinError",
    "PreparedFrame",
    "Program",
    "ProgramInfo",
    "ProgramType",
    "ReadOnlyData",
    "RingBuffer",
    "Support",
    "Supported",
    "TestRun",
    "Unknown",
    "Update",
    "VerifierError",
    "XdpAction",
    "features",
    "grace_period",
    "num_possible_cpus",
    "replace_pin",
    "unpin",
]
