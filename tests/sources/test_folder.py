"""A folder that changes in every way in which people and programs change folders."""

from __future__ import annotations

import errno
import os
import secrets
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pyxdp.cli.agent import _folders
from pyxdp.sources import FolderSource, Store
from tests.lab.waiting import wait_until
from tests.sources.collecting import watching
from tests.veth.host import network_set

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "policy"
    made.mkdir()
    (made / "a.yaml").write_text("a")
    return made


def test_the_first_delivery_is_complete(folder: Path) -> None:
    (folder / "below").mkdir()
    (folder / "below/b.json").write_text("b")
    for other in ("c.yaml~", ".d.yaml", "e.txt", ".a.yaml.swp", "4913"):
        (folder / other).write_text("no")
    with watching(folder) as seen:
        assert seen.named() == {"a.yaml": "a", "b.json": "b"}
        assert (seen.last.complete, seen.last.connected, seen.last.trouble) == (True, True, "")
        assert seen.last.source == str(folder) == FolderSource(folder).name
        assert sorted(seen.contents) == [str(folder / "a.yaml"), str(folder / "below/b.json")]


def write(path: Path, text: str) -> None:
    path.write_text(text)


def rename_over(path: Path, text: str) -> None:
    temporary = path.with_name(".new")
    temporary.write_text(text)
    temporary.rename(path)


def as_vim(path: Path, text: str) -> None:
    backup = path.with_name(f"{path.name}~")
    path.rename(backup)
    path.write_text(text)
    backup.unlink()


def append(path: Path, text: str) -> None:
    with path.open("r+") as file:
        file.write(text)


@pytest.mark.parametrize("change", [write, rename_over, as_vim, append])
def test_a_file_that_changes(folder: Path, change: Callable[[Path, str], None]) -> None:
    with watching(folder) as seen:
        (folder / "same.yaml").write_text("same")
        seen.wait_for(a__yaml="a", same__yaml="same")
        for text in ("b", "c"):
            change(folder / "a.yaml", text)
            seen.wait_for(a__yaml=text, same__yaml="same")
        assert seen.read.count(str(folder / "same.yaml")) == 1
        assert not any(text.gone for delivery in seen.deliveries for text in delivery.texts)


def test_files_and_folders_that_come_and_go(folder: Path) -> None:
    with watching(folder) as seen:
        (folder / "new/below").mkdir(parents=True)
        (folder / "new/below/b.yaml").write_text("b")
        seen.wait_for(a__yaml="a", b__yaml="b")
        (folder / "a.yaml").rename(folder / "new/c.yaml")
        seen.wait_for(b__yaml="b", c__yaml="a")
        (folder / "new").rename(folder / "other")
        wait_until(lambda: str(folder / "other/c.yaml") in seen.contents)
        seen.wait_for(b__yaml="b", c__yaml="a")
        shutil.rmtree(folder / "other/below")
        seen.wait_for(c__yaml="a")
        assert not seen.last.complete


def test_a_file_that_is_being_written_is_not_read(folder: Path) -> None:
    with watching(folder) as seen:
        with (folder / "a.yaml").open("w") as file, (folder / "b.yaml").open("w") as other:
            for number in range(50):
                file.write("half")
                file.flush()
                other.write("half")
                other.flush()
                (folder / "c.yaml").write_text(str(number))
                wait_until(lambda it=str(number): seen.named().get("c.yaml") == it)
                assert seen.named() == {"a.yaml": "a", "c.yaml": str(number)}
        seen.wait_for(a__yaml="half" * 50, b__yaml="half" * 50, c__yaml="49")


def config_map(folder: Path, version: str, **files: str) -> None:
    """What the kubelet does: a new folder, a link renamed over, and names that lead through it."""
    there = folder / f"..{version}"
    there.mkdir()
    for name, text in files.items():
        (there / name).write_text(text)
    (folder / "..data_tmp").symlink_to(there.name)
    before = folder / "..data"
    old = before.resolve() if before.is_symlink() else None
    (folder / "..data_tmp").rename(before)
    for name in files:
        if not (folder / f"{name}.yaml").is_symlink():
            (folder / f"{name}.yaml").symlink_to(f"..data/{name}")
    for link in folder.glob("*.yaml"):
        if link.stem not in files:
            link.unlink()
    if old:
        shutil.rmtree(old)


def test_a_mounted_config_map(tmp_path: Path) -> None:
    folder = tmp_path / "mounted"
    folder.mkdir()
    config_map(folder, "1", a="a1", b="b1")
    with watching(folder) as seen:
        seen.wait_for(a__yaml="a1", b__yaml="b1")
        for version in range(2, 6):
            config_map(folder, str(version), a=f"a{version}", b="b1")
            seen.wait_for(a__yaml=f"a{version}", b__yaml="b1")
        config_map(folder, "last", b="b2", c="c")
        seen.wait_for(b__yaml="b2", c__yaml="c")


def test_links_to_elsewhere(folder: Path, tmp_path: Path) -> None:
    for version in "12":
        (tmp_path / version).mkdir()
        (tmp_path / version / "x").write_text(version)
    (tmp_path / "current").symlink_to("1")
    (folder / "b.yaml").symlink_to(tmp_path / "current/x")
    with watching(folder) as seen:
        seen.wait_for(a__yaml="a", b__yaml="1")
        (tmp_path / "1/x").write_text("1+")
        seen.wait_for(a__yaml="a", b__yaml="1+")
        (tmp_path / "new").symlink_to("2")
        (tmp_path / "new").rename(tmp_path / "current")
        seen.wait_for(a__yaml="a", b__yaml="2")
        (tmp_path / "2/x").unlink()
        seen.wait_for(a__yaml="a")


def test_the_folder_itself_is_replaced(folder: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "b.yaml").write_text("b")
    link = tmp_path / "link"
    link.symlink_to(folder)
    with watching(folder) as seen, watching(link) as through:
        folder.rename(tmp_path / "old")
        other.rename(folder)
        seen.wait_for(b__yaml="b")
        through.wait_for(b__yaml="b")
        (tmp_path / "link2").symlink_to(tmp_path / "old")
        (tmp_path / "link2").rename(link)
        through.wait_for(a__yaml="a")
        (folder / "b.yaml").write_text("b2")
        seen.wait_for(b__yaml="b2")


def test_a_folder_that_is_not_there_yet(tmp_path: Path) -> None:
    folder = tmp_path / "not/yet"
    with watching(folder) as seen:
        assert not seen.last.connected
        assert seen.last.trouble == f"{folder}: there is no such file or folder; what is in force stays"
        folder.mkdir(parents=True)
        wait_until(lambda: "holds no manifest" in seen.last.trouble)
        assert not any(it.complete for it in seen.deliveries)
        (folder / "a.yaml").write_text("a")
        seen.wait_for(a__yaml="a")
        assert (seen.last.complete, seen.last.connected, seen.last.trouble) == (True, True, "")


@pytest.mark.parametrize("end", [shutil.rmtree, lambda folder: (folder / "a.yaml").unlink()])
def test_a_folder_without_a_manifest_says_nothing(folder: Path, end: Callable[[Path], None]) -> None:
    with watching(folder) as seen:
        end(folder)
        wait_until(lambda: seen.last.trouble)
        assert not seen.last.connected
        assert seen.named() == {"a.yaml": "a"}
        folder.mkdir(exist_ok=True)
        (folder / "a.yaml").write_text("again")
        seen.wait_for(a__yaml="again")
        assert (seen.last.connected, seen.last.trouble, seen.last.complete) == (True, "", False)


def test_what_can_not_be_read_is_no_reason_to_be_gone(folder: Path) -> None:
    with watching(folder) as seen:
        (folder / "a.yaml").write_bytes(b"\xff")
        wait_until(lambda: "not UTF-8" in seen.faults.get(str(folder / "a.yaml"), ""))
        (folder / "b.yaml").symlink_to("/proc/self/mem")
        wait_until(lambda: "can not be read" in seen.faults.get(str(folder / "b.yaml"), ""))
        os.mkfifo(folder / "c.yaml")
        wait_until(lambda: seen.faults.get(str(folder / "c.yaml")) == "is no regular file")
        assert seen.named() == {"a.yaml": "a"}
        for name in "abc":
            rename_over(folder / f"{name}.yaml", name)
        seen.wait_for(a__yaml="a", b__yaml="b", c__yaml="c")
        assert seen.faults == {}


def test_a_single_file(folder: Path) -> None:
    with watching(folder / "a.yaml") as seen:
        (folder / "b.yaml").write_text("b")
        rename_over(folder / "a.yaml", "a2")
        seen.wait_for(a__yaml="a2")
        (folder / "a.yaml").unlink()
        wait_until(lambda: not seen.last.connected)
        seen.wait_for(a__yaml="a2")


def test_many_files_at_once(folder: Path) -> None:
    with watching(folder) as seen:
        for number in range(500):
            (folder / f"n{number}.yaml").write_text(str(number))
        wait_until(lambda: len(seen.contents) == 501)
        assert len(seen.deliveries) < 250


def test_stop_is_not_late_and_can_be_called_twice(folder: Path) -> None:
    source = FolderSource(folder)
    seen: list[object] = []
    source.start(seen.append)
    source.stop()
    source.stop()
    count = len(seen)
    (folder / "a.yaml").write_text("b")
    assert len(seen) == count


def test_a_folder_below_that_can_not_be_read_says_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it held when somebody could read it last, in another life of the agent, is not gone."""
    below = folder / "below"
    below.mkdir()
    (below / "b.yaml").write_text(network_set("b", []))
    (folder / "a.yaml").write_text(network_set("a", []))
    with watching(folder) as seen:
        before = Store()
        before.put(seen.last)
    iterdir = Path.iterdir

    def refused(path: Path) -> Iterator[Path]:
        if path == below:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return iterdir(path)

    monkeypatch.setattr(Path, "iterdir", refused)  # a disk that fails for root, too
    after = Store.of(before.texts())
    with watching(folder) as seen:
        assert "can not be read" in seen.faults[str(below)]
        after.put(seen.last)
    after.forget_unmentioned()
    assert [it.metadata.name for it in after.resources().globalNetworkSets] == ["a", "b"]


_WITHOUT_INOTIFY = """
import ctypes, os, resource, sys
from pathlib import Path
from inotify_simple import INotify
_, most = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
# Instances are counted for each effective user; files are opened as root all the same.
os.seteuid(int(sys.argv[2]))
ctypes.CDLL(None).setfsuid(0)
taken = []
try:
    while True:
        taken.append(INotify())
except OSError:
    pass
from pyxdp.sources import FolderSource
from tests.lab.waiting import wait_until

folder, contents = Path(sys.argv[1]), {}
source = FolderSource(folder)
source.start(lambda told: contents.update((Path(it.origin).name, it.content) for it in told.texts))
wait_until(lambda: contents == {"a.yaml": "a"})
(folder / "b.yaml").write_text("b")
wait_until(lambda: contents == {"a.yaml": "a", "b.yaml": "b"})
source.stop()
"""


def test_a_machine_where_others_watch_all_that_the_kernel_allows(folder: Path) -> None:
    """As nodes of Kubernetes are: 128 instances for each user."""
    nobody_else = str((1 << 30) + secrets.randbelow(1 << 20))
    command = (sys.executable, "-c", _WITHOUT_INOTIFY, str(folder), nobody_else)
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=180)
    assert (done.returncode, "max_user_instances" in done.stderr) == (0, True), done.stderr


def test_paths_that_are_the_same_are_one_source() -> None:
    assert [it.name for it in _folders(("policy", "policy/", "./policy", "other"))] == ["policy", "other"]
