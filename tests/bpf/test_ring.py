from __future__ import annotations

import signal
import threading
import time
from typing import TYPE_CHECKING

import pytest

from pyxdp.bpf import BpfError, Map, MapType, Object, RingBuffer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("kernel")


@pytest.fixture
def basic(bpf_object: Callable[[str], Path]) -> Iterator[Object]:
    with Object.open(bpf_object("basic")).load() as loaded:
        yield loaded


def send(loaded: Object, *lengths: int) -> None:
    for length in lengths:
        loaded.programs["basic"].test_run(bytes(length))


def lengths(records: list[bytes]) -> list[int]:
    return [int.from_bytes(record, "little") for record in records]


def test_records_in_order(basic: Object) -> None:
    with RingBuffer(basic.maps["events"]) as ring:
        assert ring.records() == []
        send(basic, 64, 65, 66)
        assert lengths(ring.records()) == [64, 65, 66]
        assert ring.records() == []


def test_waiting_ends_with_the_first_record(basic: Object) -> None:
    with RingBuffer(basic.maps["events"]) as ring:
        sender = threading.Timer(0.05, send, (basic, 99))
        sender.start()
        try:
            assert lengths(ring.records(timeout=None)) == [99]
        finally:
            sender.join()


def test_waiting_ends_in_time(basic: Object) -> None:
    with RingBuffer(basic.maps["events"]) as ring:
        began = time.monotonic()
        assert ring.read(print, timeout=0.1) == 0
        assert time.monotonic() - began >= 0.09


def test_an_exception_crosses_c(basic: Object) -> None:
    def refuse(record: bytes) -> None:
        raise LookupError(lengths([record]))

    with RingBuffer(basic.maps["events"]) as ring:
        send(basic, 64, 65)
        with pytest.raises(LookupError, match="64"):
            ring.read(refuse)
        assert lengths(ring.records()) == [65]


def test_a_signal_handler_runs_while_waiting(basic: Object) -> None:
    def interrupt(*_: object) -> None:
        raise InterruptedError("from the handler")

    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        with RingBuffer(basic.maps["events"]) as ring:
            signal.setitimer(signal.ITIMER_REAL, 0.05)
            with pytest.raises(InterruptedError, match="from the handler"):
                ring.records(timeout=30)
    finally:
        signal.signal(signal.SIGALRM, before)


def test_what_is_no_ring_buffer(basic: Object) -> None:
    with pytest.raises(BpfError, match="as a ring buffer"):
        RingBuffer(basic.maps["counts"])


def test_use_after_close(basic: Object) -> None:
    ring = RingBuffer(basic.maps["events"])
    ring.close()
    ring.close()
    with pytest.raises(ValueError, match="closed ring buffer"):
        ring.records()


def test_the_map_may_be_closed() -> None:
    with Map.create(MapType.RINGBUF, key_size=0, value_size=0, max_entries=4096) as made:
        ring = RingBuffer(made)
    with ring:
        assert ring.records() == []
