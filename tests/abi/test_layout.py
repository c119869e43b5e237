"""Three witnesses of every layout: the C compiler, cffi, and the BTF that the wheel's object carries."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pyxdp import abi
from pyxdp._abi import ffi
from pyxdp.abi import __main__ as generator
from pyxdp.abi import _types

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).resolve().parents[2]
HEADER = (ROOT / "include/pyxdp/abi.h").read_text()
STRUCTS = re.findall(r"^struct (pyxdp_\w+) \{", HEADER, re.MULTILINE)
ENUMS = re.findall(r"^enum (pyxdp_\w+) \{", HEADER, re.MULTILINE)
#: A record of a ring buffer: its map has no value type; and other views of a map whose value type is the first one.
NOT_IN_BTF = {"pyxdp_event", "pyxdp_cuts", "pyxdp_parts", "pyxdp_ranges"}

Layout = dict[str, tuple[int, int]]  # member -> (offset, size); "" -> (0, size of the struct)


def python_name(tag: str) -> str:
    return "".join(word.capitalize() for word in tag.split("_")[1:])


def as_cffi_sees(tag: str) -> Layout:
    struct = ffi.typeof(f"struct {tag}")
    members = {name: (field.offset, ffi.sizeof(field.type.cname)) for name, field in struct.fields}
    return {"": (0, ffi.sizeof(struct.cname)), **members}


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Layout]:
    folder = tmp_path_factory.mktemp("layout")
    lines = [f"ABI_STRUCT({tag})" for tag in STRUCTS]
    lines += [f"ABI_MEMBER({tag}, {name})" for tag in STRUCTS for name in as_cffi_sees(tag) if name]
    (folder / "layout.inc").write_text("\n".join(lines))
    source = str(Path(__file__).with_name("layout.c"))
    subprocess.run(["cc", "-I", str(folder), "-I", str(ROOT / "include"), source, "-o", folder / "layout"], check=True)
    printed = subprocess.run([folder / "layout"], check=True, capture_output=True, text=True).stdout
    layouts: dict[str, Layout] = {tag: {} for tag in STRUCTS}
    for line in printed.splitlines():
        tag, member, offset, size = line.split(" ")
        layouts[tag][member] = (int(offset), int(size))
    return layouts


@pytest.fixture(scope="module")
def btf(bpf_object: Callable[[str], Path]) -> dict[int, Any]:
    command = ["bpftool", "btf", "dump", "file", str(bpf_object("pyxdp")), "-j"]
    dump = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return {entry["id"]: entry for entry in dump["types"]}


def btf_size(btf: dict[int, Any], type_id: int) -> int:
    entry = btf[type_id]
    if entry["kind"] == "ARRAY":
        return int(entry["nr_elems"]) * btf_size(btf, entry["type_id"])
    return int(entry["size"]) if "size" in entry else btf_size(btf, entry["type_id"])


@pytest.mark.parametrize("tag", STRUCTS)
def test_the_compiler_and_cffi_agree(tag: str, compiled: dict[str, Layout]) -> None:
    assert compiled[tag] == as_cffi_sees(tag)
    assert abi.sizeof(getattr(abi, python_name(tag))) == compiled[tag][""][1]


@pytest.mark.parametrize("tag", STRUCTS)
def test_the_object_agrees(tag: str, btf: dict[int, Any]) -> None:
    found = [entry for entry in btf.values() if entry["kind"] == "STRUCT" and entry["name"] == tag]
    if tag in NOT_IN_BTF and not found:
        return
    (struct,) = found
    members = {m["name"]: (m["bits_offset"] // 8, btf_size(btf, m["type_id"])) for m in struct["members"]}
    assert {"": (0, struct["size"]), **members} == as_cffi_sees(tag)


@pytest.mark.parametrize("tag", ENUMS)
def test_enumerators(tag: str) -> None:
    """Every enumerator of the header is a member with the header's number."""
    body = HEADER.partition(f"enum {tag} {{")[2].partition("};")[0]
    written = dict(re.findall(r"^\t(PYXDP_\w+) = (\w+)", body, re.MULTILINE))
    enum = getattr(abi, python_name(tag))
    expected = {_types.member_name(tag, name): int(value, 0) for name, value in written.items()}
    assert {name: int(member) for name, member in enum.__members__.items()} == expected
    assert len(expected) == len(written) > 0


def test_everything_in_the_header_has_a_class() -> None:
    assert {python_name(tag) for tag in STRUCTS + ENUMS} == {name for name in abi.__all__ if name[0].isupper()}


def test_type_checkers_are_told_the_same() -> None:
    stub = (ROOT / "pyxdp/abi/_types.pyi").read_text()
    assert stub == generator.stub(), "run: python -m pyxdp.abi > pyxdp/abi/_types.pyi"


def test_no_hidden_padding() -> None:
    """What the compiler would pad, the header pads by name; so every byte that reaches the kernel is written."""
    for tag in STRUCTS:
        layout = as_cffi_sees(tag)
        end = 0
        for offset, size in (place for member, place in layout.items() if member):
            assert offset == end
            end = offset + size
        assert end == layout[""][1]
