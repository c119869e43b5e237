"""A governed host and its peer, with real sockets between them."""

from __future__ import annotations

from contextlib import ExitStack
from functools import cache
from typing import TYPE_CHECKING, get_args

import pytest

from pyxdp.dataplane import Dataplane
from pyxdp.xtables import Variant
from tests.lab.mounts import folder_for_pins
from tests.veth.classes import GovernedGateway, governed_gateway
from tests.veth.host import Host

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.lab.network import Interface


@pytest.fixture
def host(veth: tuple[Interface, Interface], bpffs: Path) -> Iterator[Host]:
    """The first end of the pair is the governed host; everything of pyxdp's is removed from it at the end."""
    made = Host(veth[0], veth[1], bpffs)
    yield made
    with veth[0].namespace.entered():
        Dataplane(bpffs).delete()


@pytest.fixture(scope="session")
def gateways(kernel: None) -> Iterator[Callable[[Variant], GovernedGateway]]:
    """The governed gateway of this process for a variant of iptables."""
    with ExitStack() as stack:
        yield cache(lambda it: stack.enter_context(governed_gateway(stack.enter_context(folder_for_pins()), it)))


@pytest.fixture
def lab(gateways: Callable[[Variant], GovernedGateway]) -> GovernedGateway:
    """A host between a client and a server, under the policy of the test before."""
    return gateways("nft")


@pytest.fixture(params=get_args(Variant))
def either_lab(request: pytest.FixtureRequest, gateways: Callable[[Variant], GovernedGateway]) -> GovernedGateway:
    """Like ``lab``, once for each variant of iptables."""
    return gateways(request.param)
