"""What is written is what is read; what is damaged is told from it; what can not be written leaves what was there."""

from __future__ import annotations

import json
import logging
import os
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyxdp.errors import SnapshotError
from pyxdp.manifest import Key
from pyxdp.net import Interface
from pyxdp.snapshot import Pending, Snapshot, StateFolder, read, write
from pyxdp.snapshot.snapshot import decode, encode, intact
from pyxdp.sources import Text
from tests.lab.mounts import mount, unmount

if TYPE_CHECKING:
    from collections.abc import Iterator

names = st.text(min_size=1, max_size=20)
addresses = st.ip_addresses()
interfaces = st.builds(
    Interface,
    names,
    st.integers(1, 1000),
    st.lists(addresses, max_size=3).map(tuple),
    st.booleans(),
    st.sampled_from(["", "veth", "vlan"]),
    st.integers(0, 9),
    st.integers(0, 9),
)
texts = st.builds(Text, names, st.text(), keys=st.lists(st.builds(Key, names, names, names), max_size=2).map(tuple))
snapshots = st.builds(
    Snapshot,
    texts=st.lists(texts, max_size=3).map(tuple),
    node=names,
    interfaces=st.lists(interfaces, max_size=3).map(tuple),
    digest=st.binary(min_size=32, max_size=32).map(bytes.hex),
    generation=st.integers(0, 2**63),
    written_ns=st.integers(0, 2**63),
)
LINK_LOCAL = Interface("eth0", 2, (ip_address("fe80::1%eth0"), ip_address("192.0.2.1")))
FIRST = Snapshot(texts=(Text("a.yaml", "first\n"),), node="n", interfaces=(LINK_LOCAL,), digest="00" * 32)
SECOND = Snapshot(texts=(Text("a.yaml", "second\n"),), node="n", digest="11" * 32)
THIRD = Snapshot(texts=(Text("a.yaml", "third\n" * 50_000),), node="n", digest="22" * 32)


@given(snapshots)
def test_what_is_written_is_what_is_read(snapshot: Snapshot) -> None:
    assert decode(encode(snapshot)) == snapshot


@given(snapshots, st.data())
def test_every_changed_byte_is_noticed(snapshot: Snapshot, data: st.DataObject) -> None:
    content = bytearray(encode(snapshot))
    at = data.draw(st.integers(0, len(content) - 1))
    content[at] ^= 1 << data.draw(st.integers(0, 7))
    assert not intact(bytes(content))
    assert not intact(encode(snapshot)[:at])


def test_the_one_before_is_kept(tmp_path: Path) -> None:
    folder = tmp_path / "made" / "with those above"
    assert read(folder) is None
    write(folder, FIRST)
    assert read(folder) == FIRST
    write(folder, SECOND)
    assert read(folder) == SECOND
    assert sorted(path.name for path in folder.iterdir()) == ["snapshot", "snapshot.previous"]
    assert decode((folder / "snapshot.previous").read_bytes()) == FIRST


@pytest.mark.parametrize("damage", [b"", b"something else\n{}", encode(SECOND)[:-1]])
def test_a_damaged_file(tmp_path: Path, damage: bytes, caplog: pytest.LogCaptureFixture) -> None:
    write(tmp_path, FIRST)
    write(tmp_path, SECOND)
    (tmp_path / "snapshot").write_bytes(damage)
    with caplog.at_level(logging.WARNING):
        assert read(tmp_path) == FIRST
    assert f"the snapshot {tmp_path / 'snapshot'} is damaged" in caplog.text
    # It never takes the place of the good one.
    write(tmp_path, THIRD)
    assert read(tmp_path) == THIRD
    assert decode((tmp_path / "snapshot.previous").read_bytes()) == FIRST


def test_both_are_damaged(tmp_path: Path) -> None:
    write(tmp_path, FIRST)
    (tmp_path / "snapshot").write_text("nothing")
    with pytest.raises(SnapshotError, match="damaged: its checksum does not match") as caught:
        read(tmp_path)
    assert "apply the policy again" in caught.value.hint


@pytest.fixture
def tiny(tmp_path: Path, kernel: None) -> Iterator[Path]:
    """A file system with room for next to nothing."""
    mount("tmpfs", tmp_path, "tmpfs", options="size=64k")
    yield tmp_path
    unmount(tmp_path)


def test_a_disk_that_is_full(tiny: Path) -> None:
    write(tiny, FIRST)
    with pytest.raises(SnapshotError, match="No space left on device"):
        write(tiny, THIRD)
    assert read(tiny) == FIRST
    os.truncate(tiny / "snapshot~", 0)
    write(tiny, SECOND)
    assert read(tiny) == SECOND


def test_a_pending_change_is_of_its_boot(tmp_path: Path) -> None:
    folder = StateFolder(tmp_path)
    assert folder.pending() is None
    pending = Pending.begin(60.0, from_nothing=True, bpffs=Path("/sys/fs/bpf"), iptables="nft")
    assert 0 < pending.remaining <= 60
    folder.arm(pending)
    assert folder.pending() == pending
    path = tmp_path / "pending"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"boot": "another"}))
    assert folder.pending() is None
    for content in ("", "{}", "[]", '{"seconds": 1}'):
        path.write_text(content)
        with pytest.raises(SnapshotError, match="pending is damaged"):
            folder.pending()


def test_link_local_addresses_keep_their_scope() -> None:
    assert decode(encode(FIRST)).interfaces == (LINK_LOCAL,)


@pytest.mark.parametrize("mode", [0o770, 0o707, 0o1777])
def test_a_folder_that_others_can_write_to(tmp_path: Path, mode: int) -> None:
    """Whoever writes there would say what root enforces, and which files root writes to."""
    write(tmp_path, FIRST)
    tmp_path.chmod(mode)
    folder = StateFolder(tmp_path)
    for use in (folder.confirmed, folder.locked().__enter__):
        with pytest.raises(SnapshotError, match="others can write to it"):
            use()
    tmp_path.chmod(0o755)
    with folder.locked():
        assert folder.confirmed() == FIRST


def test_a_folder_of_somebody_else(tmp_path: Path) -> None:
    write(tmp_path, FIRST)
    os.chown(tmp_path, 65534, 65534)
    with pytest.raises(SnapshotError, match="others can write to it"):
        StateFolder(tmp_path).confirmed()


def test_links_are_not_followed(tmp_path: Path) -> None:
    """Neither that of somebody who wants a file of root's overwritten, nor what somebody who died has left."""
    victim = tmp_path / "victim"
    victim.write_text("dear")
    folder = tmp_path / "state"
    folder.mkdir()
    (folder / "snapshot~").symlink_to(victim)
    write(folder, FIRST)
    assert victim.read_text() == "dear"
    assert read(folder) == FIRST
