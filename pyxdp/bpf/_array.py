"""Arrays, by ranges of elements: one system call for many, since they hold whole policies."""

from __future__ import annotations

import errno
from array import array
from typing import TYPE_CHECKING, Protocol

from pyxdp.bpf._memory import Memory
from pyxdp.bpf._raw import Handle, check, errno_of, ffi, lib, map_error, num_possible_cpus
from pyxdp.bpf._types import MapFlag, MapType

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyxdp.bpf._types import Contiguous

ENOTSUPP = 524  # the kernel's own; it leaks out of batch operations
CHUNK = 1 << 16  # elements in one system call: bounds the memory for keys


class ArrayInfo(Protocol):
    """What arrays need to know about themselves."""

    @property
    def type(self) -> MapType | int: ...
    @property
    def id(self) -> int: ...
    @property
    def name(self) -> str: ...
    @property
    def value_size(self) -> int: ...
    @property
    def max_entries(self) -> int: ...
    @property
    def flags(self) -> int: ...


class ArrayOperations(Handle):
    """The part of :class:`pyxdp.bpf.Map` for ARRAY and PERCPU_ARRAY maps; indexes are elements, from 0."""

    _kind = "map"

    @property
    def info(self) -> ArrayInfo:
        """See :class:`pyxdp.bpf.Map`."""
        raise NotImplementedError

    @property
    def element_size(self) -> int:
        """See :class:`pyxdp.bpf.Map`."""
        raise NotImplementedError

    @property
    def mappable(self) -> bool:
        """Whether the map is an array with ``BPF_F_MMAPABLE``."""
        return self.info.type == MapType.ARRAY and bool(self.info.flags & MapFlag.MMAPABLE)

    def mapped(self, start: int = 0, count: int | None = None, *, writable: bool = False) -> Memory:
        """Map consecutive elements into this process, to read and write them in place; Linux 5.5.

        Args:
            start: the first element.
            count: how many; by default up to the end of the map.
            writable: whether they may be written.

        Raises:
            IndexError: the range is not inside the map.
            BpfError: the map is not mappable.
        """
        count = self._inside(start, count)
        size = self.info.value_size
        stride = (size + 7) // 8 * 8  # elements of an array begin at multiples of 8
        region = range(start * stride, (start + count - 1) * stride + size) if count else range(0)
        return Memory(self.fileno(), self._title, stride, region, writable=writable)

    def read(self, start: int = 0, count: int | None = None) -> bytes:
        """Return consecutive elements: from memory where the map is mappable, or by batches, or one by one.

        Batches of arrays are from Linux 5.6, of per-CPU arrays from 5.13.

        Args:
            start: the first element.
            count: how many; by default up to the end of the map.

        Raises:
            IndexError: the range is not inside the map.
        """
        count = self._inside(start, count)
        size = self.element_size
        if self._by_memory:
            with self.mapped(start, count) as memory:
                return bytes(memory.view)
        values = bytearray(count * size)
        for first, length in _chunks(start, count):
            target = ffi.from_buffer(values) + (first - start) * size
            if not self._lookup_batch(first, length, target):
                for i in range(length):
                    key = ffi.new("__u32 *", first + i)
                    check(lib.bpf_map_lookup_elem(self.fileno(), key, target + i * size), f"can not read {self._title}")
        return bytes(values)

    def write(self, start: int, values: Contiguous) -> None:
        """Replace consecutive elements: in memory where the map is mappable, or by batches, or one by one.

        A program that runs meanwhile may see some elements new and some old, and parts of an element.

        Args:
            start: the first element.
            values: contiguous bytes, or anything that offers such a buffer.

        Raises:
            IndexError: the range is not inside the map.
            ValueError: ``values`` are no whole number of elements.
        """
        size = self.element_size
        data = memoryview(values).cast("B")
        self._expect(len(data) % size, 0, "bytes after the last whole value")
        count = self._inside(start, len(data) // size)
        if self._by_memory:
            with self.mapped(start, count, writable=True) as memory:
                memory.view[:] = data
            return
        source = ffi.from_buffer(data)
        for first, length in _chunks(start, count):
            keys = array("I", range(first, first + length))
            at = source + (first - start) * size
            if not self._update_batch(ffi.from_buffer(keys), at, length):
                for i in range(length):
                    result = lib.bpf_map_update_elem(self.fileno(), ffi.from_buffer(keys) + 4 * i, at + i * size, 0)
                    check(result, f"can not write to {self._title}", map_error)

    def read_per_cpu(self, start: int = 0, count: int | None = None) -> list[tuple[bytes, ...]]:
        """Return for each element of a PERCPU_ARRAY the values of all possible CPUs."""
        size, stride = self.info.value_size, self.element_size // num_possible_cpus()
        data = self.read(start, count)
        values = [data[at : at + size] for at in range(0, len(data), stride)]
        return list(zip(*[iter(values)] * num_possible_cpus(), strict=True))

    def read_sums(self, start: int = 0, count: int | None = None) -> list[tuple[int, ...]]:
        """Return for each element of a PERCPU_ARRAY of ``__u64`` counters their sums over all CPUs.

        For values that are structs of nothing but ``__u64``: each word of the struct is summed by itself.
        """
        self._expect(self.info.value_size % 8, 0, "bytes after the last whole __u64")
        words, stride = self.info.value_size // 8, self.element_size // 8
        data = array("Q", self.read(start, count))
        columns = ([data[cpu + word :: stride] for cpu in range(0, stride, words)] for word in range(words))
        return list(zip(*[list(map(sum, zip(*column, strict=True))) for column in columns], strict=True))

    def store_u32(self, offset: int, value: int, *, index: int = 0) -> None:
        """Store four bytes into a mappable array so that every program sees the old or the new number; Linux 5.5.

        See :meth:`pyxdp.bpf.Memory.store_u32`, which is for many.

        Args:
            offset: in bytes from the start of the element; a multiple of 4.
            value: from 0 to 2**32 - 1.
            index: the element.

        Raises:
            IndexError: there is no such element, or the offset is not aligned or not inside it.
            BpfError: the map is not mappable.
        """
        with self.mapped(index, 1, writable=True) as memory:
            memory.store_u32(offset, value)

    @property
    def _by_memory(self) -> bool:
        """Elements of another size do not lie side by side."""
        return self.mappable and self.info.value_size % 8 == 0

    @property
    def _title(self) -> str:
        return f"map {self.info.name!r} (id {self.info.id})"

    def _expect(self, given: int, wanted: int, what: str) -> None:
        if given != wanted:
            raise ValueError(f"{self._title}: {given} bytes of {what}, not {wanted}")

    def _inside(self, start: int, count: int | None) -> int:
        """Return how many elements are meant."""
        size = self.info.max_entries
        count = size - start if count is None else count
        if min(start, count) < 0 or start + count > size:
            raise IndexError(f"{self._title}: {count} elements from {start} on are not inside its {size}")
        return count

    def _lookup_batch(self, start: int, count: int, values: object) -> bool:
        """Return False where the kernel has no batches."""
        keys = bytearray(4 * count)
        previous = ffi.new("__u32 *", start - 1) if start else ffi.NULL
        end = ffi.new("__u32 *")
        got = ffi.new("__u32 *", count)
        result = lib.bpf_map_lookup_batch(self.fileno(), previous, end, ffi.from_buffer(keys), values, got, ffi.NULL)
        return _batch_done(result, f"can not read {self._title}")

    def _update_batch(self, keys: object, values: object, count: int) -> bool:
        """Return False where the kernel has no batches."""
        done = ffi.new("__u32 *", count)
        result = lib.bpf_map_update_batch(self.fileno(), keys, values, done, ffi.NULL)
        return _batch_done(result, f"can not write to {self._title}")


def _batch_done(result: int, what: str) -> bool:
    if result < 0 and errno_of(result) in (errno.EINVAL, errno.EOPNOTSUPP, ENOTSUPP):
        return False
    check(result, what, map_error)
    return True


def _chunks(start: int, count: int) -> Iterator[tuple[int, int]]:
    """Cut a range into (first, length)."""
    for first in range(start, start + count, CHUNK):
        yield first, min(CHUNK, start + count - first)
