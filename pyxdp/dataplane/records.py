"""What is written into maps: names, endpoints, slots, the switch."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from pyxdp.abi import Endpoint, Limit, Slot, decode, encode, sizeof, zero
from pyxdp.bpf import Map
from pyxdp.dataplane.programs import half_of
from pyxdp.planner import ENTRY_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pyxdp import planner
    from pyxdp.dataplane.attempt import Attempt
    from pyxdp.dataplane.layout import Layout

#: Bytes written between two reports of progress.
_CHUNK: Final = 1 << 18


class Records:
    """The maps of one object.

    Objects share all maps whose size suffices, so what is written here before the object is in force is seen by the one
    that still is.

    Attributes:
        object: number of the object; ``None`` until the first one is created.
    """

    def __init__(self, layout: Layout, number: int | None) -> None:
        self._layout = layout
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

    def fill(self, operation: planner.FillSlot, attempt: Attempt) -> None:
        """Write an image into a slot that nothing reads.

        The header comes first, without a digest, so that a slot whose filling was interrupted is never taken for an
        empty or a complete one; and again at the end.
        """
        with self._map("slots") as slots:
            fresh = decode(Slot, slots.read(operation.slot, 1)).generation == 0
            slots.write(operation.slot, encode(zero(Slot)._replace(generation=operation.generation)))
        written, size = 0, sum(map(len, operation.tables.values())) or 1
        for name in ENTRY_BYTES:
            for length in self._fill_table(name, operation, fresh=fresh):
                written += length
                attempt.advance(min(written / size, 1.0))
        header = Slot(operation.generation, operation.applied_ns, operation.digest)
        with self._map("slots") as slots:
            slots.write(operation.slot, encode(header))

    def switch(self, operation: planner.Switch) -> None:
        """One aligned store."""
        with self._map("control") as control:
            control.store_u32(0, operation.slot)

    def free_names(self, operation: planner.FreeNames) -> None:
        """Counters first: a name that is gone means counters at zero."""
        with self._map("counters") as counters:
            empty = bytes(counters.element_size)
        self._write("counters", dict.fromkeys(operation.indexes, empty))
        with self._map("names") as names:
            empty = bytes(names.element_size)
        self._write("names", dict.fromkeys(operation.indexes, empty))

    def free_endpoints(self, operation: planner.FreeEndpoints) -> None:
        """Reason counters first: a number that is free means counters at zero."""
        per_endpoint = 2 * Limit.REASONS
        with self._map("reasons") as reasons:
            for number in operation.numbers:
                reasons.write(number * per_endpoint, bytes(per_endpoint * reasons.element_size))
        self._write("endpoints", dict.fromkeys(operation.numbers, bytes(sizeof(Endpoint))))

    def _fill_table(self, name: str, operation: planner.FillSlot, *, fresh: bool) -> Iterator[int]:
        """Write one table chunk by chunk, and zero behind it unless that is known to be zero; yield the lengths."""
        data, entry = operation.tables.get(name, b""), ENTRY_BYTES[name]
        with self._map(name) as table:
            half = half_of(table)
            padded = data if fresh else data.ljust(half * entry, b"\0")
            for at in range(0, len(padded), _CHUNK):
                table.write(operation.slot * half + at // entry, padded[at : at + _CHUNK])
                yield max(0, min(len(data) - at, _CHUNK))

    def _write(self, name: str, values: Mapping[int, bytes], attempt: Attempt | None = None) -> None:
        with self._map(name) as its_map:
            if attempt:
                before = {index: its_map.read(index, 1) for index in values}
                attempt.on_failure(lambda: self._write(name, before))
            for index, value in values.items():
                its_map.write(index, value)

    @contextmanager
    def _map(self, name: str) -> Iterator[Map]:
        if self.object is None:
            raise ValueError("there is no object yet")
        with Map.from_pin(self._layout.maps(self.object) / name) as its_map:
            yield its_map
