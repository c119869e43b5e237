"""Arrays, by ranges of elements: one system call for many, since they hold whole policies."""

from __future__ import annotations

import errno
from array import array
from typing import TYPE_CHECKING, Protocol

from pyxdp.bpf._raw import Handle, check, errno_of, ffi, lib, map_error, num_possible_cpus

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyxdp.bpf._types import Buffer

ENOTSUPP = 524  # the kernel's own; it leaks out of batch operations
CHUNK = 1 << 16  # elements in one system call: bounds the memory for keys


class ArrayInfo(Protocol):
    """What arrays need to know about themselves."""

    @property
    def id(self) -> int: ...
    @property
    def name(self) -> str: ...
    @property
    def value_size(self) -> int: ...
    @property
    def max_entries(self) -> int: ...


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

    def read(self, start: int = 0, count: int | None = None) -> bytes:
        """Return consecutive elements, by batches (arrays: Linux 5.6, per-CPU arrays: 5.13), or one by one before.

        Args:
            start: the first element.
            count: how many; by default up to the end of the map.

        Raises:
            IndexError: the range is not inside the map.
        """
        count = self.info.max_entries - start if count is None else count
        self._expect_inside(start, count)
        size = self.element_size
        values = bytearray(count * size)
        for first, length in _chunks(start, count):
            target = ffi.from_buffer(values) + (first - start) * size
            if not self._lookup_batch(first, length, target):
                for i in range(length):
                    key = ffi.new("__u32 *", first + i)
                    check(lib.bpf_map_lookup_elem(self.fileno(), key, target + i * size), f"can not read {self._title}")
        return bytes(values)

    def write(self, start: int, values: Buffer) -> None:
        """Replace consecutive elements, by batches where the kernel has them.

        A program that runs meanwhile may see some elements new and some old.

        Raises:
            IndexError: the range is not inside the map.
            ValueError: ``values`` are no whole number of elements.
        """
        size = self.element_size
        self._expect(len(values) % size, 0, "bytes after the last whole value")
        count = len(values) // size
        self._expect_inside(start, count)
        source = ffi.from_buffer(values)
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
        """Store four bytes into an array with ``BPF_F_MMAPABLE`` so that every program sees the old or the new number.

        It is one aligned, sequentially consistent store into the memory of the map: what was written to any map before
        is visible to a program that reads the new number. (``bpf_map_update_elem`` copies without such a promise.)
        Linux 5.5.

        Args:
            offset: in bytes from the start of the element; a multiple of 4.
            value: from 0 to 2**32 - 1.
            index: the element.

        Raises:
            IndexError: there is no such element, or the offset is not aligned or not inside it.
            BpfError: the map is not mappable.
        """
        self._expect_inside(index, 1)
        if offset % 4 or not 0 <= offset <= self.info.value_size - 4:
            size = self.info.value_size
            raise IndexError(f"{self._title}: offset {offset} is not aligned, or not inside an element of {size} bytes")
        stride = (self.info.value_size + 7) // 8 * 8  # elements of an array begin at multiples of 8
        result = lib.shim_array_store_u32(self.fileno(), stride * self.info.max_entries, stride * index + offset, value)
        check(result, f"can not map {self._title} into memory")

    @property
    def _title(self) -> str:
        return f"map {self.info.name!r} (id {self.info.id})"

    def _expect(self, given: int, wanted: int, what: str) -> None:
        if given != wanted:
            raise ValueError(f"{self._title}: {given} bytes of {what}, not {wanted}")

    def _expect_inside(self, start: int, count: int) -> None:
        if min(start, count) < 0 or start + count > self.info.max_entries:
            size = self.info.max_entries
            raise IndexError(f"{self._title}: {count} elements from {start} on are not inside its {size}")

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
