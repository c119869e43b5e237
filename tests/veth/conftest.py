"""A governed host and its peer, with real sockets between them."""

from __future__ import annotations

from contextlib import ExitStack
from functools import cache
from typing import TYPE_CHECKING, get_args

import pytest

from pyxdp.xtables import Variant
from tests.lab.mounts import folder_for_pins
from tests.veth.classes import GovernedGateway, governed_gateway

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


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
