"""Arrays as memory: elements that this process and every program see in the same place."""

from __future__ import annotations

import mmap
from contextlib import suppress
from typing import TYPE_CHECKING

from pyxdp.bpf._raw import ffi, lib
from pyxdp.errors import BpfError

if TYPE_CHECKING:
    from typing_extensions import Self

    from pyxdp.bpf._types import Contiguous


class Memory:
    """Consecutive elements of an array with ``BPF_F_MMAPABLE``, mapped into this process; Linux 5.5.

    Use it as a context manager. What was made of :attr:`view` (slices, arrays of numpy) may be used longer: the memory
    stays mapped until the last of them is gone, whether or not the map is closed.

    Attributes:
        view: the bytes up to the end of the last value, live: programs see what is written, in no promised order.
        stride: bytes from one element to the next: the size of a value, rounded up to a multiple of 8.
    """

    def __init__(self, fd: int, title: str, stride: int, region: range, *, writable: bool) -> None:
        self._title = title
        self.stride = stride
        self.view = memoryview(bytearray())
        if not region:
            return
        offset = region.start - region.start % mmap.PAGESIZE
        length = -(-(region.stop - offset) // mmap.PAGESIZE) * mmap.PAGESIZE
        # Not Python's mmap, which keeps a file descriptor for as long as anybody has a piece of the memory.
        mapped = lib.shim_map_memory(fd, offset, length, writable)
        if not mapped:
            raise BpfError(ffi.errno, f"can not map {title} into memory")
        owned = ffi.gc(mapped, lambda memory: lib.shim_unmap_memory(memory, length), length)
        view = memoryview(ffi.buffer(owned, length))[region.start - offset : region.stop - offset]
        self.view = view if writable else view.toreadonly()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give up the view; a second call does nothing."""
        with suppress(BufferError):  # it has been made into something else, which is still in use
            self.view.release()

    def store_u32(self, offset: int, value: int) -> None:
        """Store four bytes so that every program sees the old or the new number.

        It is one aligned, sequentially consistent store: what was written to any map before is visible to a program
        that reads the new number. (Neither assignment to :attr:`view` nor ``bpf_map_update_elem`` promises that.)

        Args:
            offset: in bytes from the first mapped element; a multiple of 4.
            value: from 0 to 2**32 - 1.

        Raises:
            IndexError: the offset is not aligned, or not inside.
            OverflowError: the value does not fit.
            TypeError: the memory was not mapped to be written.
        """
        lib.shim_store_u32(self._at(offset, 4), value)

    def store_u64(self, offset: int, value: int) -> None:
        """Store eight bytes so that every program sees the old or the new number: see :meth:`store_u32`.

        Args:
            offset: in bytes from the first mapped element; a multiple of 8.
            value: from 0 to 2**64 - 1.

        Raises:
            IndexError: the offset is not aligned, or not inside.
            OverflowError: the value does not fit.
            TypeError: the memory was not mapped to be written.
        """
        lib.shim_store_u64(self._at(offset, 8), value)

    def scatter(self, offsets: Contiguous, values: Contiguous) -> None:
        """Store many numbers, one after the other: each as :meth:`store_u32` or :meth:`store_u64` does.

        Args:
            offsets: ``__u64`` each, in bytes from the first mapped element; multiples of the size of a value.
            values: as many ``__u32`` or ``__u64``.

        Raises:
            IndexError: an offset is not aligned, or not inside; nothing was stored.
            TypeError: the memory was not mapped to be written.
            ValueError: there are not as many values as offsets, or they are of another size.
        """
        places, numbers = memoryview(offsets).cast("B"), memoryview(values)
        width = numbers.itemsize
        if len(places) != 8 * len(numbers) or width not in (4, 8):
            raise ValueError(f"{self._title}: {len(numbers)} values of {width} bytes for {len(places) // 8} offsets")
        where = ffi.cast("__u64 *", ffi.from_buffer(places))
        memory = ffi.from_buffer(self._writable)
        if lib.shim_scatter(memory, len(self.view), where, ffi.from_buffer(numbers), len(numbers), width):
            raise IndexError(f"{self._title}: an offset is not aligned, or not inside {len(self.view)} bytes")

    def _at(self, offset: int, size: int) -> object:
        if offset % size or not 0 <= offset <= len(self.view) - size:
            raise IndexError(f"{self._title}: offset {offset} is not aligned, or not inside {len(self.view)} bytes")
        return ffi.from_buffer(self._writable) + offset

    @property
    def _writable(self) -> memoryview:
        if self.view.readonly:
            raise TypeError(f"{self._title}: the memory was not mapped to be written")
        return self.view
