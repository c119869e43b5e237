"""A governed host whose metrics are scraped over HTTP, in its own network namespace."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pyxdp.dataplane import Dataplane
from tests.metrics.scraping import Scraped
from tests.veth.host import Host

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.lab.network import Interface


@pytest.fixture
def host(veth: tuple[Interface, Interface], bpffs: Path) -> Iterator[Host]:
    """The first end of the pair is the governed host; everything of pyxdp's is removed from it at the end.

    Without IPv6: what it says by itself would be counted.
    """
    for end in veth:
        end.namespace.sysctl("net/ipv6/conf/all/disable_ipv6", 1)
    made = Host(veth[0], veth[1], bpffs)
    yield made
    with veth[0].namespace.entered():
        Dataplane(bpffs).delete()


@pytest.fixture
def scraped(host: Host) -> Iterator[Scraped]:
    """The host with a server of its metrics."""
    with Scraped(host) as made:
        yield made
