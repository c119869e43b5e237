"""What is written into maps: names, endpoints, slots, the switch."""

from __future__ import annotations

from contextlib import contextmanager
from functools import partial
from itertools import groupby
from typing import TYPE_CHECKING

from pyxdp.abi import Direction, Endpoint, Slot, decode, decode_array, encode, sizeof, zero
from pyxdp.bpf import Map

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from pyxdp import planner
    from pyxdp.dataplane.attempt import Attempt
    from pyxdp.dataplane.halves import Halves
    from pyxdp.dataplane.layout import Layout


class Records:
    """The maps of one object.

    Objects share all maps whose size suffices, so what is written here before the object is in force is seen by the one
    that still is.

    Attributes:
        object: number of the object; ``None`` until the first one is created.
    """

    def __init__(self, layout: Layout, number: int | None, halves: Halves) -> None:
        self._layout = layout
        self._halves = halves
        self.object = number

    def write_names(self, operation: planner.WriteNames, attempt: Attempt) -> None:
        """Write identity records."""
        self._write("names", {index: encode(name) for index, name in operation.names.items()}, attempt)

    def write_endpoints(self, operation: planner.WriteEndpoints, attempt: Attempt) -> None:
        """Write endpoint records; why XDP is not native stays."""
        records = {}
        for interface, it in operation.endpoints.items():
            native_errno = self.endpoint(it.number).native_errno
            records[it.number] = encode(Endpoint(it.ifindex, native_errno, interface, it.host_endpoint))
        self._write("endpoints", records, attempt)

    def endpoint(self, number: int) -> Endpoint:
        """Read one endpoint record."""
        with self._map("endpoints") as endpoints:
            return decode(Endpoint, endpoints.read(number, 1))

    def note_attachment(self, number: int, ifindex: int, native_errno: int, attempt: Attempt) -> None:
        """Record where and how XDP was attached."""
        record = self.endpoint(number)._replace(ifindex=ifindex, native_errno=native_errno)
        self._write("endpoints", {number: encode(record)}, attempt)

    def note_mode(self, ifindex: int, native_errno: int, attempt: Attempt) -> None:
        """Record how XDP was attached anew to an interface that has a number."""
        with self._map("endpoints") as endpoints:
            there = decode_array(Endpoint, endpoints.read())
        for number, record in enumerate(there):
            if record.ifindex == ifindex and record.interface:
                self.note_attachment(number, ifindex, native_errno, attempt)

    def fill(self, operation: planner.FillSlot, attempt: Attempt) -> None:
        """Write an image into a slot that nothing reads.

        The header comes first, without a digest, so that a slot whose filling was interrupted is never taken for an
        empty or a complete one; and again at the end.
        """
        number, slot = self._number, operation.slot
        write_header(self._layout, number, slot, zero(Slot)._replace(generation=operation.generation))
        for fraction in self._halves.fill(number, slot, operation.tables):
            attempt.advance(fraction)
        header = Slot(operation.generation, operation.applied_ns, operation.digest)
        write_header(self._layout, number, slot, header)

    def switch(self, operation: planner.Switch) -> None:
        """One aligned store."""
        with self._map("control") as control:
            control.store_u32(0, operation.slot)

    def free_names(self, operation: planner.FreeNames) -> None:
        """Counters first: a name that is gone means counters at zero."""
        for name in ("counters", "names"):
            with self._map(name) as its_map:
                empty = bytes(its_map.element_size)
            self._write(name, dict.fromkeys(operation.indexes, empty))

    def free_endpoints(self, operation: planner.FreeEndpoints) -> None:
        """Reason counters first: a number that is free means counters at zero."""
        with self._map("reasons") as reasons:
            for number in operation.numbers:
                reasons.write(number * len(Direction), bytes(len(Direction) * reasons.element_size))
        self._write("endpoints", dict.fromkeys(operation.numbers, bytes(sizeof(Endpoint))))

    def _write(self, name: str, values: Mapping[int, bytes], attempt: Attempt | None = None) -> None:
        with self._map(name) as its_map:
            for run in _runs(values):
                if attempt:
                    before = its_map.read(run.start, len(run))
                    attempt.on_failure(partial(self._put_back, name, run.start, before))
                its_map.write(run.start, b"".join(values[index] for index in run))

    def _put_back(self, name: str, start: int, before: bytes) -> None:
        with self._map(name) as its_map:
            its_map.write(start, before)

    @contextmanager
    def _map(self, name: str) -> Iterator[Map]:
        with Map.from_pin(self._layout.maps(self._number) / name) as its_map:
            yield its_map

    @property
    def _number(self) -> int:
        if self.object is None:
            raise ValueError("there is no object yet")
        return self.object


def write_header(layout: Layout, number: int, slot: int, header: Slot) -> None:
    """Say what a slot holds."""
    with Map.from_pin(layout.maps(number) / "slots") as slots:
        slots.write(slot, encode(header))


def _runs(indexes: Iterable[int]) -> Iterator[range]:
    """Yield consecutive indexes together: writing one costs as much as writing many."""
    ordered = sorted(indexes)
    for _, group in groupby(enumerate(ordered), lambda place: place[1] - place[0]):
        (_, first), *rest = group
        yield range(first, first + 1 + len(rest))
