"""Flows of the generator: what the kernel makes of a frame, and what the measured program is given."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pyxdp.bench.documents import HOST
from pyxdp.bench.judging import each
from pyxdp.bench.traffic import Flow, Traffic, encoded
from pyxdp.bpf import XdpAction
from pyxdp.net.parse import parse_frame
from tests.lab.packets import checksum

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.usefixtures("kernel")

FLOWS = [Flow(0x01020304, 1000, 6379), Flow(0xC6336407, 65535, 443), Flow(0, 1, 1), Flow(0xFFFFFFFF, 0x8000, 80)]


@pytest.fixture
def traffic(kernel: None) -> Iterator[Traffic]:
    with Traffic(encoded(FLOWS)) as made:
        made.measure(made.passing)
        yield made


def test_flows_take_turns_with_right_checksums(traffic: Traffic) -> None:
    for flow in [*FLOWS, *FLOWS]:
        ran = traffic.each.test_run(traffic.frame)
        assert ran.retval == XdpAction.PASS
        packet = parse_frame(ran.data).packet
        assert packet is not None
        found = int(packet.source), packet.source_port, packet.destination_port
        assert found == (flow.source, flow.source_port, flow.destination_port)
        assert str(packet.destination) == HOST[4]
        header, segment = ran.data[14:34], ran.data[34:]
        assert checksum(header) == bytes(2)
        assert checksum(header[12:] + bytes((0, 6, 0, len(segment))) + segment) == bytes(2)


def test_the_measured_program_decides(traffic: Traffic) -> None:
    assert each(traffic, traffic.drop, 10)() >= 0
    assert traffic.each.test_run(traffic.frame).retval == XdpAction.DROP


def test_a_short_frame_is_no_flow(traffic: Traffic) -> None:
    assert traffic.each.test_run(bytes(50)).retval == XdpAction.ABORTED
