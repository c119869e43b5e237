from __future__ import annotations

import errno
import os
import threading
from array import array
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyxdp.bpf import BpfError, Map, MapFlag, MapFullError, MapType, Object, Update, num_possible_cpus
from pyxdp.bpf import _array as array_module

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("kernel")


def number(value: int, size: int = 4) -> bytes:
    return value.to_bytes(size, "little")


@pytest.fixture
def table() -> Iterator[Map]:
    with Map.create(MapType.HASH, key_size=4, value_size=4, max_entries=4, name="table") as made:
        yield made


@pytest.fixture
def numbers() -> Iterator[Map]:
    with Map.create(MapType.ARRAY, key_size=4, value_size=4, max_entries=1000, flags=MapFlag.MMAPABLE) as made:
        yield made


def test_info(table: Map) -> None:
    info = table.info
    assert (info.type, info.name, info.key_size, info.value_size, info.max_entries) == (MapType.HASH, "table", 4, 4, 4)
    with Map.from_id(info.id) as again:
        assert again.info == info
    assert repr(table) == f"<Map map 'table' (id {info.id})>"


def test_memory_that_the_kernel_takes() -> None:
    with Map.create(MapType.ARRAY, key_size=4, value_size=8, max_entries=1 << 17, flags=MapFlag.MMAPABLE) as large:
        assert 1 << 20 <= large.memory < 1.1 * (1 << 20)
    with Map.create(MapType.PERCPU_ARRAY, key_size=4, value_size=8, max_entries=1 << 15) as counters:
        assert counters.memory >= num_possible_cpus() * 8 << 15


def test_a_key_comes_and_goes(table: Map) -> None:
    assert table.get(1) is None
    table.update(1, b"abcd")
    assert table.get(number(1)) == b"abcd"
    assert table.delete(1)
    assert not table.delete(1)
    assert list(table.keys()) == []


def test_new_and_existing(table: Map) -> None:
    with pytest.raises(BpfError) as caught:
        table.update(1, b"abcd", Update.EXISTING)
    assert caught.value.errno == errno.ENOENT
    table.update(1, b"abcd", Update.NEW)
    with pytest.raises(BpfError) as caught:
        table.update(1, b"efgh", Update.NEW)
    assert caught.value.errno == errno.EEXIST


def test_full(table: Map) -> None:
    for key in range(4):
        table.update(key, b"abcd")
    with pytest.raises(MapFullError, match="can not write to map 'table'") as caught:
        table.update(4, b"abcd")
    assert caught.value.errno == errno.E2BIG
    with pytest.raises(MapFullError):
        table.update_batch(number(9) + number(8), b"abcdefgh", 2)


@pytest.mark.parametrize(("key", "value"), [(b"abc", b"abcd"), (b"abcd", b"abcde")])
def test_wrong_sizes(table: Map, key: bytes, value: bytes) -> None:
    with pytest.raises(ValueError, match=r"\(id \d+\): \d bytes of (key|value), not 4"):
        table.update(key, value)


def test_batches_of_a_hash(table: Map) -> None:
    expected = {number(key): number(key * key) for key in (1, 2, 3)}
    table.update_batch(b"".join(expected), b"".join(expected.values()), 3)
    assert dict(table.items()) == expected
    assert dict(table.lookup_batch()) == expected
    assert sorted(table.keys()) == sorted(expected)


def test_a_batch_larger_than_the_room_for_it() -> None:
    with Map.create(MapType.HASH, key_size=8, value_size=4, max_entries=10_000) as table:
        expected = {number(key, 8): number(key) for key in range(9_000)}
        table.update_batch(b"".join(expected), b"".join(expected.values()), len(expected))
        assert dict(table.lookup_batch(room=100)) == expected


@settings(max_examples=30, deadline=None)
@given(start=st.integers(0, 999), values=st.binary(max_size=400))
def test_write_then_read(start: int, values: bytes) -> None:
    values = values[: min(len(values) // 4, 1000 - start) * 4]
    with Map.create(MapType.ARRAY, key_size=4, value_size=4, max_entries=1000) as numbers:
        numbers.write(start, values)
        assert numbers.read(start, len(values) // 4) == values
        assert numbers.read() == (bytes(4 * start) + values).ljust(4000, b"\0")


def test_ranges_in_several_chunks(monkeypatch: pytest.MonkeyPatch, numbers: Map) -> None:
    monkeypatch.setattr(array_module, "CHUNK", 64)
    values = os.urandom(4 * 990)
    numbers.write(7, values)
    assert numbers.read(7, 990) == values


def test_ranges_outside(numbers: Map) -> None:
    for start, count in ((0, 1001), (1000, 1), (-1, 1), (5, -1)):
        with pytest.raises(IndexError):
            numbers.read(start, count)
    with pytest.raises(IndexError):
        numbers.write(999, bytes(8))
    with pytest.raises(ValueError, match="bytes after the last whole value"):
        numbers.write(0, bytes(5))
    assert numbers.read(1000) == b""


def test_no_batches_for_this_type_of_map() -> None:
    with Map.create(MapType.PROG_ARRAY, key_size=4, value_size=4, max_entries=2) as programs:
        with pytest.raises(BpfError) as caught:
            list(programs.lookup_batch())
        assert caught.value.errno in (errno.EOPNOTSUPP, array_module.ENOTSUPP)
        with pytest.raises(BpfError) as caught:
            programs.write(0, number(0) * 2)  # falls back; fd 0 is no program
        assert caught.value.errno in (errno.EINVAL, errno.EBADF)


def test_per_cpu_arrays(bpf_object: Callable[[str], Path]) -> None:
    cpus = num_possible_cpus()
    with Object.open(bpf_object("basic")).load() as basic:
        for _ in range(10):
            basic.programs["basic"].test_run(bytes(64))
        totals = basic.maps["totals"]
        assert totals.element_size == 16 * cpus
        assert totals.read_sums(0, 2) == [(10, 640), (0, 0)]
        elements = totals.read_per_cpu()
        assert [len(element) for element in elements] == [cpus] * 4
        assert sum(int.from_bytes(value[:8], "little") for value in elements[0]) == 10
        totals.write(2, b"".join(number(cpu + 1, 8) + number(7, 8) for cpu in range(cpus)))
        assert totals.read_sums(2, 1) == [(cpus * (cpus + 1) // 2, 7 * cpus)]
        assert totals.read_per_cpu(2, 1) == [tuple(number(cpu + 1, 8) + number(7, 8) for cpu in range(cpus))]


def test_short_per_cpu_values_are_padded() -> None:
    with Map.create(MapType.PERCPU_ARRAY, key_size=4, value_size=4, max_entries=3) as counts:
        counts.write(0, b"".join(number(cpu, 8) for cpu in range(3 * num_possible_cpus())))
        flat = [value for element in counts.read_per_cpu() for value in element]
        assert flat == [number(cpu) for cpu in range(3 * num_possible_cpus())]


def test_store(numbers: Map) -> None:
    numbers.write(0, number(1) + number(2) + number(3))
    numbers.store_u32(0, 0xDEADBEEF, index=1)
    assert numbers.read(0, 3) == number(1) + number(0xDEADBEEF) + number(3)
    numbers.store_u32(0, 5, index=999)
    assert numbers.get(999) == number(5)


def test_store_only_where_it_can_be_atomic(numbers: Map) -> None:
    for offset, index in ((2, 0), (-4, 0), (4, 0), (0, 1000)):
        with pytest.raises(IndexError):
            numbers.store_u32(offset, 1, index=index)
    with (
        Map.create(MapType.ARRAY, key_size=4, value_size=4, max_entries=1) as not_mappable,
        pytest.raises(BpfError, match="can not map .* into memory"),
    ):
        not_mappable.store_u32(0, 1)


def test_a_store_is_never_seen_in_part(bpf_object: Callable[[str], Path]) -> None:
    with Object.open(bpf_object("basic")).load() as basic:
        done = threading.Event()

        def switch() -> None:
            while not done.is_set():
                for pattern in (0x00000000, 0xFFFFFFFF, 0x5A5A5A5A):
                    basic.maps["counts"].store_u32(0, pattern, index=3)

        writer = threading.Thread(target=switch)
        writer.start()
        runs = 0
        try:
            for _ in range(20):
                runs += 100_000
                basic.programs["read_word"].test_run(bytes(64), repeat=100_000)
        finally:
            done.set()
            writer.join()
        _, ones, torn, _ = (int.from_bytes(basic.maps["counts"].get(key) or b"", "little") for key in range(4))
        assert 0 < ones < runs
        assert torn == 0


@pytest.fixture
def words() -> Iterator[Map]:
    with Map.create(MapType.ARRAY, key_size=4, value_size=16, max_entries=1000, flags=MapFlag.MMAPABLE) as made:
        yield made


def test_memory_is_what_programs_and_system_calls_see(words: Map) -> None:
    assert words.mappable
    words.update(300, b"a" * 16)
    with words.mapped(299, 3, writable=True) as memory:
        assert (memory.stride, len(memory.view)) == (16, 48)
        assert memory.view == bytes(16) + b"a" * 16 + bytes(16)
        memory.view[32:] = b"b" * 16
        assert words.get(301) == b"b" * 16
        memory.store_u64(8, 0x0102030405060708)
        memory.store_u32(0, 0xDEADBEEF)
        assert words.get(299) == number(0xDEADBEEF, 8) + number(0x0102030405060708, 8)
    with words.mapped(998) as memory:
        assert len(memory.view) == 32
    with words.mapped(1000) as memory:
        assert len(memory.view) == 0


def test_memory_of_values_with_gaps_between_them(numbers: Map) -> None:
    numbers.write(10, number(1) + number(2))
    with numbers.mapped(10, 2) as memory:
        assert (memory.stride, bytes(memory.view)) == (8, number(1, 8) + number(2))


@pytest.mark.parametrize(("width", "offset"), [(4, 2), (4, -4), (4, 32), (8, 4), (8, 28)])
def test_stores_into_memory_that_are_not_aligned_or_outside(words: Map, width: int, offset: int) -> None:
    with words.mapped(0, 2, writable=True) as memory, pytest.raises(IndexError):
        (memory.store_u32 if width == 4 else memory.store_u64)(offset, 1)


@pytest.mark.parametrize("code", ["I", "Q"])
def test_many_stores(words: Map, code: str) -> None:
    size = array(code).itemsize
    with words.mapped(500, 4, writable=True) as memory:
        memory.scatter(array("Q", [56, 0, 8, 0]), array(code, [1, 2, 3, 4]))
        assert memory.view == number(4, 8) + number(3, 8) + bytes(40) + number(1, 8)
        for wrong in (64, 61, 64 - size // 2, 1 << 63):
            with pytest.raises(IndexError):
                memory.scatter(array("Q", [16, wrong]), array(code, [5, 6]))
        assert memory.view[16:24] == bytes(8)
        memory.scatter(array("Q"), array(code))
        for few in (array(code, [1]), array("H", [1, 2])):
            with pytest.raises(ValueError, match="for 2 offsets"):
                memory.scatter(array("Q", [0, 8]), few)


def test_memory_that_is_only_read(words: Map) -> None:
    with words.mapped(0, 2) as memory:
        with pytest.raises(TypeError, match="not mapped to be written"):
            memory.store_u32(0, 1)
        with pytest.raises(TypeError):
            memory.view[0] = 1
        with pytest.raises(TypeError):
            memory.scatter(array("Q", [0]), array("Q", [1]))
    assert words.read() == bytes(16_000)


def test_memory_outlives_the_map_in_what_was_made_of_it(words: Map) -> None:
    words.write(1, b"x" * 16)
    with words.mapped(1, 1) as memory:
        kept = memory.view[:4]
    words.close()
    assert kept == b"xxxx"
    memory.close()


def test_memory_that_can_not_be_had(words: Map) -> None:
    with Map.create(MapType.ARRAY, key_size=4, value_size=8, max_entries=1) as other:
        assert not other.mappable
        with pytest.raises(BpfError, match="can not map .* into memory"):
            other.mapped()
    with pytest.raises(IndexError):
        words.mapped(999, 2)


@settings(max_examples=30, deadline=None)
@given(start=st.integers(0, 999), values=st.binary(max_size=400))
def test_write_then_read_in_memory(start: int, values: bytes) -> None:
    values = values[: min(len(values) // 16, 1000 - start) * 16]
    with Map.create(MapType.ARRAY, key_size=4, value_size=16, max_entries=1000, flags=MapFlag.MMAPABLE) as words:
        words.write(start, values)
        assert words.read(start, len(values) // 16) == values
        assert words.read() == (bytes(16 * start) + values).ljust(16_000, b"\0")


def test_any_buffer_is_written(words: Map) -> None:
    words.write(0, array("Q", [1, 2, 3, 4]))
    assert words.read(0, 2) == b"".join(number(it, 8) for it in (1, 2, 3, 4))
    with pytest.raises(ValueError, match="bytes after the last whole value"):
        words.write(0, array("Q", [1]))


def test_maps_in_a_map(numbers: Map) -> None:
    with Map.create(MapType.ARRAY_OF_MAPS, key_size=4, value_size=4, max_entries=2, inner=numbers) as outer:
        outer.put(1, numbers)
        assert outer.get(1) == number(numbers.info.id)
        with pytest.raises(BpfError):
            outer.put(0, outer)


def test_many_elements() -> None:
    with Map.create(MapType.ARRAY, key_size=4, value_size=8, max_entries=100_000) as large:
        data = os.urandom(800_000)
        large.write(0, data)
        assert large.read() == data


def test_use_after_close(table: Map) -> None:
    table.close()
    table.close()
    with pytest.raises(ValueError, match="operation on a closed map"):
        table.get(1)


def test_what_is_refused() -> None:
    with pytest.raises(BpfError, match="can not create map 'odd'"):
        Map.create(MapType.ARRAY, key_size=3, value_size=8, max_entries=1, name="odd")
    with pytest.raises(BpfError, match="map with id 4294967295"):
        Map.from_id(0xFFFFFFFF)


def test_forgotten() -> None:
    forgotten = Map.create(MapType.ARRAY, key_size=4, value_size=8, max_entries=1)
    with pytest.warns(ResourceWarning, match="was not closed"):
        del forgotten
