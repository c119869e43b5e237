"""Waiting for programs that are running."""

from __future__ import annotations

from pyxdp.bpf._map import Map
from pyxdp.bpf._types import MapType


def grace_period() -> None:
    """Return after every run of a (not sleepable) BPF program that began before the call has ended.

    Takes some milliseconds. What programs could still have read before, such as the half of a map that was active, may
    be overwritten afterwards.

    An update of a map of maps does that by the kernel's contract: it waits for an RCU grace period, so that user space
    knows the old inner map to be unused (``maybe_wait_bpf_programs`` in ``kernel/bpf/syscall.c``, Linux 4.20). The map
    here exists for nothing else. ``membarrier(MEMBARRIER_CMD_GLOBAL)`` waits as well, but returns at once on a machine
    with one CPU, and is refused on one with ``nohz_full``.

    Raises:
        BpfError: maps can not be created.
    """
    with (
        Map.create(MapType.ARRAY, key_size=4, value_size=4, max_entries=1, name="pyxdp_grace") as inner,
        Map.create(
            MapType.ARRAY_OF_MAPS, key_size=4, value_size=4, max_entries=1, name="pyxdp_grace", inner=inner
        ) as outer,
    ):
        outer.put(0, inner)
