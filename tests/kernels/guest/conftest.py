"""The guest's two cards take the place of a veth pair."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from pyroute2 import IPRoute

from tests.agent.conftest import folder  # noqa: F401 -- a fixture
from tests.lab.network import Interface, Namespace, configure
from tests.lab.waiting import wait_until
from tests.veth.conftest import either_lab, gateways, lab  # noqa: F401 -- fixtures

if TYPE_CHECKING:
    from collections.abc import Callable

CARDS = ("eth0", "eth1")


@pytest.fixture
def veth(netns: Callable[[], Namespace]) -> tuple[Interface, Interface]:
    """Both ends of the cable, each in a namespace of its own; cards come back when their namespace goes."""
    left, right = netns(), netns()
    with IPRoute() as ip:
        for space, card in zip((left, right), CARDS, strict=True):
            wait_until(lambda card=card: ip.link_lookup(ifname=card), what=f"{card} is back")
            (index,) = ip.link_lookup(ifname=card)
            with Path(space.path).open() as target:
                ip.link("set", index=index, net_ns_fd=target.fileno())
    return configure(left, CARDS[0], right, CARDS[1])
