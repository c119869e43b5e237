from __future__ import annotations

import errno
from typing import TYPE_CHECKING

import pytest

from pyxdp.bpf import Link, Map, MapType, Object, PinError, Program, XdpAction, replace_pin, unpin

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.lab.network import Interface


@pytest.fixture
def number(kernel: None) -> Iterator[Map]:
    with Map.create(MapType.ARRAY, key_size=4, value_size=4, max_entries=1, name="number") as made:
        yield made


def test_a_map_survives_its_fd(bpffs: Path, number: Map) -> None:
    number.update(0, b"abcd")
    number.pin(bpffs / "number")
    number.close()
    with Map.from_pin(bpffs / "number") as again:
        assert again.get(0) == b"abcd"
        unpin(bpffs / "number")
    assert not (bpffs / "number").exists()


def test_a_program_and_its_link_survive(
    bpffs: Path, bpf_object: Callable[[str], Path], veth: tuple[Interface, Interface]
) -> None:
    host, _ = veth
    with Object.open(bpf_object("basic")).load() as basic, host.namespace.entered():
        basic.programs["drop"].pin(bpffs / "drop")
        with basic.programs["drop"].attach_xdp(host.ifindex) as link:
            link.pin(bpffs / "link")
    with Program.from_pin(bpffs / "drop") as drop, Link.from_pin(bpffs / "link") as link:
        assert drop.test_run(bytes(64)).retval == XdpAction.DROP
        assert link.info.program_id == drop.info.id
        assert link.info.ifindex == host.ifindex


def test_one_name_for_one_object(bpffs: Path, number: Map) -> None:
    number.pin(bpffs / "number")
    with pytest.raises(PinError, match="can not pin map at .*: File exists") as caught:
        number.pin(bpffs / "number")
    assert caught.value.errno == errno.EEXIST
    assert caught.value.path == str(bpffs / "number")


def test_replace(bpffs: Path, number: Map) -> None:
    replace_pin(number, bpffs / "number")
    with Map.create(MapType.ARRAY, key_size=4, value_size=4, max_entries=7) as larger:
        replace_pin(larger, bpffs / "number")
    with Map.from_pin(bpffs / "number") as found:
        assert found.info.max_entries == 7
    assert [entry.name for entry in bpffs.iterdir()] == ["number"]


def test_replace_leaves_nothing_when_it_fails(bpffs: Path, number: Map) -> None:
    (bpffs / "number").mkdir()
    with pytest.raises(PinError) as caught:
        replace_pin(number, bpffs / "number")
    assert caught.value.errno == errno.EISDIR
    assert [entry.name for entry in bpffs.iterdir()] == ["number"]


def test_a_pin_of_another_kind(bpffs: Path, number: Map) -> None:
    number.pin(bpffs / "number")
    with pytest.raises(PinError, match="number is a map, not a program"):
        Program.from_pin(bpffs / "number")
    with pytest.raises(PinError, match="number is a map, not a link"):
        Link.from_pin(bpffs / "number")


def test_nothing_there(bpffs: Path) -> None:
    with pytest.raises(PinError, match="can not open map .*/missing: No such file") as caught:
        Map.from_pin(bpffs / "missing")
    assert caught.value.errno == errno.ENOENT
    with pytest.raises(PinError, match="can not remove .*/missing: No such file"):
        unpin(bpffs / "missing")


def test_no_folder(bpffs: Path) -> None:
    with pytest.raises(PinError) as caught:
        Map.from_pin(bpffs / "folder/missing")
    assert caught.value.hint == f"the folder {bpffs}/folder does not exist"


def test_a_dot_in_the_name(bpffs: Path, number: Map) -> None:
    with pytest.raises(PinError) as caught:
        number.pin(bpffs / "eth0.100")
    assert caught.value.errno == errno.EPERM
    assert caught.value.hint == "names in a bpffs can not have a dot"


def test_not_on_a_bpffs(tmp_path: Path, number: Map) -> None:
    with pytest.raises(PinError) as caught:
        number.pin(tmp_path / "number")
    assert caught.value.hint == f"{tmp_path} is not on a bpffs; mount one with: mount -t bpf bpf /sys/fs/bpf"
