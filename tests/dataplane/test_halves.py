"""Slots as memory, on maps without programs."""

from __future__ import annotations

import os
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pyxdp import planner
from pyxdp.bpf import Map, MapFlag, MapType
from pyxdp.dataplane.halves import Halves
from pyxdp.dataplane.layout import Layout
from pyxdp.errors import MapIncompatibleError, PinError
from pyxdp.planner.content import CHUNK, differences

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

#: Entries of a half of every map.
HALF = 700


def make_object(layout: Layout, number: int, half: int = HALF, **sizes: int) -> None:
    layout.maps(number).mkdir(parents=True)
    for name, size in {**planner.ENTRY_BYTES, **sizes}.items():
        with Map.create(
            MapType.ARRAY, key_size=4, value_size=size, max_entries=2 * half, flags=MapFlag.MMAPABLE, name=name
        ) as made:
            made.pin(layout.maps(number) / name)


@pytest.fixture
def layout(bpffs: Path) -> Layout:
    made = Layout(bpffs)
    make_object(made, 1)
    return made


@pytest.fixture
def halves(layout: Layout) -> Iterator[Halves]:
    with closing(Halves(layout)) as made:
        yield made


def read(layout: Layout, number: int, name: str) -> bytes:
    """The whole map, by system calls."""
    with Map.from_pin(layout.maps(number) / name) as its_map:
        return its_map.read()


def fill(halves: Halves, slot: int, tables: dict[str, bytes]) -> list[float]:
    return list(halves.fill(1, slot, tables))


TABLES = st.fixed_dictionaries(
    {
        name: st.tuples(st.integers(0, HALF), st.integers(0, 2)).map(
            lambda drawn, size=size: (bytes([drawn[1]]) * (size - 1) + b"\1") * drawn[0]
        )
        for name, size in planner.ENTRY_BYTES.items()
    }
)


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.integers(0, 1), TABLES), max_size=4))
def test_a_slot_holds_what_it_was_filled_with_last_and_zero_behind(
    layout: Layout, halves: Halves, history: list[tuple[int, dict[str, bytes]]]
) -> None:
    held: list[dict[str, bytes]] = [{}, {}]
    fill(halves, 0, {})
    fill(halves, 1, {})
    for slot, tables in history:
        steps = fill(halves, slot, tables)
        assert steps == sorted(steps)
        assert steps[-1] == 1
        held[slot] = tables
    for name, size in planner.ENTRY_BYTES.items():
        both = b"".join(held[slot].get(name, b"").ljust(HALF * size, b"\0") for slot in (0, 1))
        assert read(layout, 1, name) == both
    for slot in (0, 1):
        content = halves.content(1, slot)
        assert {name: bytes(table) for name, table in content.items()} == dict.fromkeys(
            planner.ENTRY_BYTES, b""
        ) | held[slot]


def test_only_what_differs_is_written(layout: Layout, halves: Halves, monkeypatch: pytest.MonkeyPatch) -> None:
    pages = os.urandom(500 * 1024)
    first = fill(halves, 0, {"pages": pages})
    written: list[tuple[int, int]] = []

    def watched(wanted: memoryview, there: memoryview) -> Iterator[tuple[int, int]]:
        for place in differences(wanted, there):
            written.append(place)
            yield place

    monkeypatch.setattr("pyxdp.dataplane.halves.differences", watched)
    assert fill(halves, 0, {"pages": pages}) == first, "progress is the same"
    assert written == []
    changed = pages[:200_000] + b"?" + pages[200_001:]
    fill(halves, 0, {"pages": changed})
    assert written == [(200_000 // CHUNK * CHUNK, 200_000 // CHUNK * CHUNK + CHUNK)]
    assert read(layout, 1, "pages") == changed.ljust(2 * HALF * 1024, b"\0")


def test_content_is_the_memory_of_the_map_and_only_read(layout: Layout, halves: Halves) -> None:
    fill(halves, 1, {"rules": b"\1" * 32})
    content = memoryview(halves.content(1, 1)["rules"])
    with Map.from_pin(layout.maps(1) / "rules") as rules:
        rules.write(HALF, b"\2" * 16)
    assert content == b"\2" * 16 + b"\1" * 16
    with pytest.raises(TypeError):
        content[0] = 1


def test_growing_copies_a_slot(layout: Layout, halves: Halves) -> None:
    rows = os.urandom(8 * HALF)
    fill(halves, 1, {"rows": rows})
    make_object(layout, 2, 2 * HALF)
    halves.copy("rows", 1, source=1, target=2)
    assert read(layout, 2, "rows") == bytes(8 * 2 * HALF) + rows.ljust(8 * 2 * HALF, b"\0")


def test_an_object_that_is_gone_is_forgotten(layout: Layout, halves: Halves) -> None:
    fill(halves, 0, {"rows": b"\1" * 8})
    with Map.from_pin(layout.maps(1) / "rows") as rows:
        number = rows.info.id
    for pin in layout.maps(1).iterdir():
        pin.unlink()
    halves.forget(1)
    with pytest.raises(OSError, match=f"map with id {number}"):
        Map.from_id(number)
    with pytest.raises(PinError):
        halves.content(1, 0)


def test_maps_of_another_version(layout: Layout, halves: Halves) -> None:
    make_object(layout, 2, pages=4)
    with pytest.raises(MapIncompatibleError, match="entries of 4 bytes instead of 1024") as caught:
        halves.content(2, 0)
    assert "pyxdp delete" in caught.value.hint
