"""What tortures have in common: a host that nobody but the generator sends to, and a thread that changes its policy."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

from tests.lab.mounts import folder_for_pins
from tests.lab.network import connect, namespace
from tests.veth.host import Host

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.lab.flood import Flood


@contextmanager
def silent_host() -> Iterator[Host]:
    """A host whose peer sends nothing of its own accord."""
    with namespace() as space, namespace() as other, folder_for_pins() as bpffs:
        end, peer = connect(space, other)
        other.sysctl(f"net/ipv6/conf/{peer.name}/disable_ipv6", 1)
        host = Host(end, peer, bpffs)
        try:
            yield host
        finally:
            host.delete()


@contextmanager
def flooding(generator: Flood) -> Iterator[None]:
    """Send all the time, on the first CPU; this thread keeps to the others, where there are others."""
    cpus = sorted(os.sched_getaffinity(0))
    with generator.running(cpus[0]):
        os.sched_setaffinity(0, cpus[1:] or cpus)
        try:
            yield
        finally:
            os.sched_setaffinity(0, cpus)
