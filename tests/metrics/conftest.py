"""A governed host whose metrics are scraped over HTTP, in its own network namespace."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.metrics.scraping import Scraped

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.veth.host import Host


@pytest.fixture
def host(host: Host) -> Host:
    """Without IPv6: what it says by itself would be counted."""
    for end in (host.end, host.peer):
        end.namespace.sysctl("net/ipv6/conf/all/disable_ipv6", 1)
    return host


@pytest.fixture
def scraped(host: Host) -> Iterator[Scraped]:
    """The host with a server of its metrics."""
    with Scraped(host) as made:
        yield made
