"""Maps: any type through keys and values as bytes; arrays (``_array.py``) by ranges of elements."""

from __future__ import annotations

import errno
import sys
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from pyxdp.bpf._array import ArrayOperations
from pyxdp.bpf._raw import allow_locked_memory, check, errno_of, ffi, lib, map_error, num_possible_cpus
from pyxdp.bpf._types import MapType, Update

if TYPE_CHECKING:
    from collections.abc import Iterator

    from typing_extensions import Self

    from pyxdp.bpf._raw import Handle
    from pyxdp.bpf._types import Buffer

    Key = Buffer | int


@dataclass(frozen=True, slots=True)
class MapInfo:
    """What the kernel knows about a map.

    Attributes:
        type: see :class:`MapType`; a plain ``int`` for types unknown here.
        id: the kernel's number for it, as ``bpftool`` shows it.
        name: at most 15 characters, as the kernel cuts it.
        key_size: bytes.
        value_size: bytes, as declared; see :attr:`Map.element_size`.
        max_entries: elements; bytes for a ring buffer.
        flags: ``BPF_F_*`` of its creation.
    """

    type: MapType | int
    id: int
    name: str
    key_size: int
    value_size: int
    max_entries: int
    flags: int


class Map(ArrayOperations):
    """A map in the kernel.

    Keys and values are bytes in the layout of the program that uses them; a key of four bytes may also be an ``int``.
    Errors are :class:`~pyxdp.errors.BpfError`; :class:`~pyxdp.errors.MapFullError` where there is no room.
    """

    @classmethod
    def create(  # noqa: PLR0913 -- what a map is made of
        cls,
        map_type: MapType | int,
        *,
        key_size: int,
        value_size: int,
        max_entries: int,
        name: str = "",
        flags: int = 0,
        inner: Map | None = None,
    ) -> Self:
        """Make a map without BTF.

        Args:
            map_type: as the kernel numbers them.
            key_size: bytes.
            value_size: bytes.
            max_entries: elements; for a ring buffer bytes, a power of two and a multiple of the page size.
            name: letters, digits, ``_`` and ``.``; cut to 15 characters.
            flags: ``BPF_F_*``.
            inner: for a map of maps, one like those that it will hold.

        Raises:
            BpfError: the kernel refused.
        """
        allow_locked_memory()
        inner_fd = inner.fileno() if inner is not None else -1
        fd = lib.shim_map_create(map_type, key_size, value_size, max_entries, flags, inner_fd, name.encode())
        return cls(check(fd, f"can not create map {name!r}"))

    @classmethod
    def from_id(cls, map_id: int) -> Self:
        """Open the map with this id.

        Raises:
            BpfError: there is none, or (without CAP_SYS_ADMIN) access is refused.
        """
        return cls(check(lib.bpf_map_get_fd_by_id(map_id), f"can not open map with id {map_id}"))

    @cached_property
    def info(self) -> MapInfo:
        """What the kernel knows about the map; all of it is constant."""
        raw = ffi.new("struct bpf_map_info *")
        length = ffi.new("__u32 *", ffi.sizeof("struct bpf_map_info"))
        check(lib.bpf_obj_get_info_by_fd(self.fileno(), raw, length), f"can not inspect {self!r}")
        known = raw.type in MapType.__members__.values()
        return MapInfo(
            type=MapType(raw.type) if known else raw.type,
            id=raw.id,
            name=ffi.string(raw.name).decode(),
            key_size=raw.key_size,
            value_size=raw.value_size,
            max_entries=raw.max_entries,
            flags=raw.map_flags,
        )

    @property
    def memory(self) -> int:
        """Bytes of kernel memory that the map takes, as the kernel reckons; before Linux 6.4 those of its elements."""
        told = Path(f"/proc/self/fdinfo/{self.fileno()}").read_text()
        return int(dict(line.split(":", 1) for line in told.splitlines())["memlock"])

    def get(self, key: Key) -> bytes | None:
        """Return the value of a key, or ``None``; of a per-CPU map all CPUs' values, each padded to 8 bytes."""
        value = bytearray(self.element_size)
        result = lib.bpf_map_lookup_elem(self.fileno(), self._key(key), ffi.from_buffer(value))
        if result < 0 and errno_of(result) == errno.ENOENT:
            return None
        check(result, f"can not read from {self._title}")
        return bytes(value)

    def update(self, key: Key, value: Buffer, mode: Update = Update.ANY) -> None:
        """Set the value of a key.

        Raises:
            MapFullError: there is no room, or the index is beyond the end of an array.
            BpfError: with ``mode`` NEW the key is there, with EXISTING it is not.
        """
        self._expect(len(value), self.element_size, "value")
        result = lib.bpf_map_update_elem(self.fileno(), self._key(key), ffi.from_buffer(value), mode)
        check(result, f"can not write to {self._title}", map_error)

    def put(self, key: Key, handle: Handle) -> None:
        """Make a program, or a map, the value of a key: for program arrays, and for maps of maps.

        Raises:
            BpfError: it is of the wrong kind for this map.
        """
        self.update(key, handle.fileno().to_bytes(4, sys.byteorder))

    def delete(self, key: Key) -> bool:
        """Remove a key; return whether it was there. Elements of arrays can not be removed."""
        result = lib.bpf_map_delete_elem(self.fileno(), self._key(key))
        if result < 0 and errno_of(result) == errno.ENOENT:
            return False
        check(result, f"can not remove a key of {self._title}")
        return True

    def keys(self) -> Iterator[bytes]:
        """Iterate over the keys. A key that another one adds or removes meanwhile may be missed or come twice."""
        key = bytearray(self.info.key_size)
        previous = ffi.NULL
        while True:
            result = lib.bpf_map_get_next_key(self.fileno(), previous, ffi.from_buffer(key))
            if result < 0 and errno_of(result) == errno.ENOENT:
                return
            check(result, f"can not list {self._title}")
            yield bytes(key)
            previous = ffi.from_buffer(bytes(key))

    def items(self) -> Iterator[tuple[bytes, bytes]]:
        """Iterate over keys and values, one by one; what vanishes meanwhile is left out."""
        for key in self.keys():
            value = self.get(key)
            if value is not None:
                yield key, value

    def update_batch(self, keys: Buffer, values: Buffer, count: int) -> None:
        """Set many keys: with one system call since Linux 5.6, otherwise one by one.

        Args:
            keys: the keys one after the other.
            values: their values one after the other.
            count: how many.

        Raises:
            MapFullError: there is no room; the keys before that are set.
        """
        key_size, value_size = self.info.key_size, self.element_size
        self._expect(len(keys), count * key_size, "keys")
        self._expect(len(values), count * value_size, "values")
        if count and not self._update_batch(ffi.from_buffer(keys), ffi.from_buffer(values), count):
            keys, values = memoryview(keys), memoryview(values)
            for i in range(count):
                self.update(keys[i * key_size :][:key_size], values[i * value_size :][:value_size])

    def lookup_batch(self, room: int = 4096) -> Iterator[tuple[bytes, bytes]]:
        """Iterate over keys and values, many with one system call: Linux 5.6 and a hash or array (per-CPU ones: 5.13).

        Args:
            room: how many elements to fetch at a time.

        Raises:
            BpfError: the kernel has no batches for this type of map (use :meth:`items`), or a hash bucket has more than
                ``room`` elements (ENOSPC).
        """
        key_size, value_size = self.info.key_size, self.element_size
        keys, values = bytearray(room * key_size), bytearray(room * value_size)
        # The cursor of a hash is a bucket number of 4 bytes, that of an array a key.
        start, end = ffi.NULL, ffi.new("char[]", max(4, key_size))
        finished = False
        while not finished:
            count = ffi.new("__u32 *", room)
            buffers = ffi.from_buffer(keys), ffi.from_buffer(values)
            result = lib.bpf_map_lookup_batch(self.fileno(), start, end, *buffers, count, ffi.NULL)
            finished = result < 0 and errno_of(result) == errno.ENOENT
            if not finished:
                check(result, f"can not read from {self._title}")
            for i in range(count[0]):
                yield bytes(keys[i * key_size :][:key_size]), bytes(values[i * value_size :][:value_size])
            start = end

    @cached_property
    def element_size(self) -> int:
        """Bytes of a value as user space sees it: a per-CPU map has one for each possible CPU, padded to 8 bytes."""
        if self.info.type in (MapType.PERCPU_ARRAY, MapType.PERCPU_HASH, MapType.LRU_PERCPU_HASH):
            return (self.info.value_size + 7) // 8 * 8 * num_possible_cpus()
        return self.info.value_size

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._title}>" if "info" in self.__dict__ else super().__repr__()

    def _key(self, key: Key) -> object:
        if isinstance(key, int):
            return ffi.new("__u32 *", key)
        self._expect(len(key), self.info.key_size, "key")
        return ffi.from_buffer(key)
