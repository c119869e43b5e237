from __future__ import annotations

import errno
from typing import TYPE_CHECKING

import pytest

from pyxdp.bpf import BpfError, Map, MapIncompatibleError, MapType, Object, ProgramType, VerifierError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

FRAME = bytes(range(64))

pytestmark = pytest.mark.usefixtures("kernel")


@pytest.fixture
def basic(bpf_object: Callable[[str], Path]) -> Iterator[Object]:
    with Object.open(bpf_object("basic")) as opened:
        yield opened


def test_names(basic: Object) -> None:
    assert set(basic.programs) == {"basic", "drop", "interface", "came_in_by", "read_word"}
    assert set(basic.maps) >= {"counts", "seen", "totals", "events", "basic.rodata"}
    assert basic.programs["drop"].section == "xdp"


def test_opened_from_bytes(bpf_object: Callable[[str], Path]) -> None:
    with Object.open(bpf_object("basic").read_bytes(), name="mine") as opened:
        assert "mine.rodata" in opened.maps


def test_loaded_maps_and_programs_have_what_was_declared(basic: Object) -> None:
    basic.load()
    counts = basic.maps["counts"].info
    assert (counts.type, counts.name, counts.key_size, counts.value_size) == (MapType.ARRAY, "counts", 4, 8)
    assert basic.maps["counts"].max_entries == counts.max_entries == 4
    program = basic.programs["basic"].info
    assert (program.type, program.name, len(program.tag)) == (ProgramType.XDP, "basic", 16)
    assert counts.id in program.map_ids
    assert program.verified_instructions is None or program.verified_instructions > 10


def test_number_of_elements(basic: Object) -> None:
    basic.maps["counts"].max_entries = 1000
    assert basic.maps["counts"].max_entries == 1000
    basic.load()
    assert basic.maps["counts"].info.max_entries == 1000
    with pytest.raises(ValueError, match="can not be changed once its object is loaded"):
        basic.maps["counts"].max_entries = 5


def test_constants(basic: Object) -> None:
    assert [basic.rodata[name] for name in ("answer", "port", "wide", "enabled")] == [42, 1, 3, 0]
    basic.rodata["enabled"] = True
    basic.rodata["answer"] = 1 << 20
    basic.rodata["port"] = 65535
    basic.rodata["wide"] = 7
    basic.load()
    assert basic.programs["basic"].test_run(FRAME).retval == (1 << 20) + 65535 + 7
    with pytest.raises(ValueError, match="part of the program"):
        basic.rodata["answer"] = 1


def test_a_constant_keeps_its_neighbours(basic: Object) -> None:
    basic.rodata["port"] = 0xABCD
    assert [basic.rodata[name] for name in ("answer", "port", "wide", "enabled")] == [42, 0xABCD, 3, 0]


def test_wrong_constants(basic: Object) -> None:
    with pytest.raises(KeyError, match="nothing"):
        basic.rodata["nothing"] = 1
    with pytest.raises(OverflowError):
        basic.rodata["port"] = 65536
    assert basic.rodata["port"] == 1


def test_a_program_that_is_not_loaded(basic: Object) -> None:
    basic.programs["drop"].autoload = False
    basic.load()
    assert not basic.programs["drop"].autoload
    assert basic.programs["basic"].autoload
    with pytest.raises(ValueError, match="program 'drop' is not loaded"):
        basic.programs["drop"].test_run(FRAME)


def test_before_and_after(basic: Object) -> None:
    with pytest.raises(ValueError, match="map 'counts' does not exist before its object is loaded"):
        basic.maps["counts"].get(0)
    basic.load()
    with pytest.raises(ValueError, match="loaded or closed"):
        basic.load()
    basic.close()
    with pytest.raises(ValueError, match="closed map"):
        basic.maps["counts"].get(0)


def test_two_instances_share_a_map(basic: Object, bpf_object: Callable[[str], Path]) -> None:
    basic.load()
    with Object.open(bpf_object("basic")) as second:
        second.maps["counts"].reuse(basic.maps["counts"])
        second.load()
        assert second.maps["counts"].info.id == basic.maps["counts"].info.id
        second.programs["drop"].test_run(FRAME)
    basic.programs["drop"].test_run(FRAME)
    assert int.from_bytes(basic.maps["counts"].get(1) or b"", "little") == 2


def test_a_larger_map_is_taken_as_it_is(basic: Object) -> None:
    with Map.create(MapType.ARRAY, key_size=4, value_size=8, max_entries=100, flags=1 << 10) as larger:
        basic.maps["counts"].reuse(larger)
        basic.load()
        assert basic.maps["counts"].info.max_entries == 100


def test_every_difference_of_a_map_is_named(basic: Object) -> None:
    with (
        Map.create(MapType.HASH, key_size=8, value_size=8, max_entries=4, name="other") as other,
        pytest.raises(MapIncompatibleError) as caught,
    ):
        basic.maps["counts"].reuse(other)
    assert "'other'" in str(caught.value)
    assert "type 1, not 2, key_size 8, not 4, flags 0, not 1024" in str(caught.value)


def test_what_is_no_object() -> None:
    with pytest.raises(BpfError, match="nonsense: ") as caught:
        Object.open(b"no ELF file at all" * 10, name="nonsense")
    assert caught.value.errno
    assert caught.value.hint


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        Object.open(tmp_path / "missing.bpf.o")


def test_the_verifier_says_why(bpf_object: Callable[[str], Path]) -> None:
    with Object.open(bpf_object("rejected")) as opened, pytest.raises(VerifierError) as caught:
        opened.load()
    error = caught.value
    assert error.errno == errno.EACCES
    assert "program 'out_of_bounds' was rejected by the verifier: invalid access to packet" in str(error)
    assert "\n" not in str(error)
    assert len(error.log) > 3
    assert any("*(u8 *)(r1 +100)" in line for line in error.log)


def test_a_map_that_the_kernel_refuses(basic: Object) -> None:
    basic.maps["counts"].max_entries = 0
    with pytest.raises(BpfError, match=r"basic: .*counts.*: Invalid argument") as caught:
        basic.load()
    assert caught.value.errno == errno.EINVAL
