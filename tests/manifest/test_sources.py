"""Files, folders, standard input, and files that can not be read."""

from __future__ import annotations

import io
import os
import stat
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pyxdp.errors import ManifestError
from pyxdp.manifest import load, sources
from tests.manifest.documents import document, text_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


def network_set(name: str) -> str:
    return text_of(document("GlobalNetworkSet", {"nets": ["10.0.0.0/8"]}, name=name))


def names(paths: Sequence[str | os.PathLike[str]], stdin: io.TextIOBase | None = None) -> list[tuple[str, str]]:
    """Return name and file of the sets that are loaded."""
    manifest = load(paths, stdin=stdin)  # type: ignore[arg-type]
    return [(one.metadata.name, one.metadata.origin.file) for one in manifest.resources.globalNetworkSets]


def refused(
    paths: Sequence[str | os.PathLike[str]], stdin: io.TextIOBase | None = None
) -> list[tuple[str, int, int, str]]:
    """Return what is wrong."""
    with pytest.raises(ManifestError) as caught:
        load(paths, stdin=stdin)  # type: ignore[arg-type]
    return [(problem.file, problem.line, problem.column, problem.message) for problem in caught.value.problems]


@contextmanager
def as_nobody() -> Iterator[None]:
    """Give up root's right to read everything, if we are root."""
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(user)


def test_files_of_any_name(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text(network_set("a"))
    (tmp_path / ".hidden").write_text(network_set("b"))
    assert names([tmp_path / "a.txt", str(tmp_path / ".hidden")]) == [
        ("a", str(tmp_path / "a.txt")),
        ("b", str(tmp_path / ".hidden")),
    ]


def test_a_single_path_is_no_sequence_of_letters(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(network_set("a"))
    assert names(str(tmp_path / "a.yaml")) == [("a", str(tmp_path / "a.yaml"))]


def test_no_path() -> None:
    assert load([]).notices == ()


def test_folder(tmp_path: Path) -> None:
    for name in (
        "b.yaml",
        "a.yml",
        "c.json",
        "sub/d.yaml",
        "sub/deep/e.yaml",
        "ignored.txt",
        ".hidden.yaml",
        ".git/f.yaml",
    ):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(network_set(path.stem.strip(".")))
    (tmp_path / "dir.yaml").mkdir()
    (tmp_path / "dir.yaml" / "g.yaml").write_text(network_set("g"))
    assert [name for name, _ in names([tmp_path])] == ["a", "b", "c", "d", "e", "g"]


def test_problems_of_a_folder_are_sorted_by_file(tmp_path: Path) -> None:
    for name in ("b.yaml", "a.yaml"):
        (tmp_path / name).write_text("kind: 1\n")
    assert [file for file, *_ in refused([tmp_path])] == [
        str(tmp_path / name) for name in ("a.yaml",) * 2 + ("b.yaml",) * 2
    ]


def test_configmap_mount(tmp_path: Path) -> None:
    generation = tmp_path / "..2024_05_01_10_00_00.123456789"
    generation.mkdir()
    for name in ("policy.yaml", "sets.yaml"):
        (generation / name).write_text(network_set(name.removesuffix(".yaml")))
        (tmp_path / name).symlink_to(f"..data/{name}")
    (tmp_path / "..data").symlink_to(generation.name)
    assert names([tmp_path]) == [("policy", str(tmp_path / "policy.yaml")), ("sets", str(tmp_path / "sets.yaml"))]


def test_links_to_folders_are_followed_once(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "a.yaml").write_text(network_set("a"))
    (tmp_path / "real" / "loop").symlink_to(tmp_path)
    (tmp_path / "again").symlink_to("real")
    assert [name for name, _ in names([tmp_path])] == ["a"]


def test_a_file_named_twice_is_read_once(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(network_set("a"))
    assert len(names([path, tmp_path, str(path), os.path.relpath(path)])) == 1


def test_tests_of_policy_may_lie_beside_it(tmp_path: Path) -> None:
    (tmp_path / "set.yaml").write_text(network_set("a"))
    (tmp_path / "tests.yaml").write_text("cases:\n  - {name: anything}\n")
    manifest = load([tmp_path])
    assert [one.metadata.name for one in manifest.resources.globalNetworkSets] == ["a"]
    assert manifest.notices == ()


def test_a_resource_with_cases_is_a_resource(tmp_path: Path) -> None:
    (tmp_path / "odd.yaml").write_text("kind: Tier\ncases: []\n")
    assert any(message.startswith("unknown field") for _, line, _, message in refused([tmp_path]) if line == 2)


def test_folder_without_manifests(tmp_path: Path) -> None:
    (tmp_path / "x.txt").write_text("")
    assert refused([tmp_path]) == [(str(tmp_path), 0, 0, "the folder holds no *.yaml, *.yml, *.json file")]


def test_missing_file_and_dangling_link(tmp_path: Path) -> None:
    (tmp_path / "link.yaml").symlink_to("nowhere")
    assert refused([tmp_path / "link.yaml", tmp_path / "none.yaml"]) == [
        (str(tmp_path / "link.yaml"), 0, 0, "is a symbolic link to nothing"),
        (str(tmp_path / "none.yaml"), 0, 0, "there is no such file or folder"),
    ]
    assert [message for *_, message in refused([tmp_path])] == ["is a symbolic link to nothing"]


@pytest.mark.parametrize("name", ["a\0b", "x" * 5000, "a.yaml/b"])
def test_impossible_names(tmp_path: Path, name: str) -> None:
    (tmp_path / "a.yaml").write_text("")
    assert len(refused([f"{tmp_path}/{name}"])) == 1


def test_unreadable_file() -> None:
    # Reading /proc/self/mem from its beginning fails even for root.
    ((file, line, _, message),) = refused(["/proc/self/mem"])
    assert (file, line) == ("/proc/self/mem", 0)
    assert message.startswith("can not be read: ")


def test_without_permission() -> None:
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        folder = Path(name)
        folder.chmod(0o755)
        (folder / "a.yaml").write_text(network_set("a"))
        (folder / "a.yaml").chmod(0)
        (folder / "closed").mkdir(mode=0)
        with as_nobody():
            found = refused([folder])
        assert found == [
            (f"{folder}/a.yaml", 0, 0, "can not be read: Permission denied"),
            (f"{folder}/closed", 0, 0, "the folder can not be read: Permission denied"),
        ]


def test_pipe_in_a_folder(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.yaml")
    assert stat.S_ISFIFO((tmp_path / "a.yaml").stat().st_mode)
    assert [message for *_, message in refused([tmp_path])] == ["is no regular file"]


def test_pipe_that_was_named() -> None:
    read_end, write_end = os.pipe()
    try:
        os.write(write_end, network_set("a").encode())
        os.close(write_end)
        assert [name for name, _ in names([f"/proc/self/fd/{read_end}"])] == ["a"]
    finally:
        os.close(read_end)


def test_not_utf_8(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_bytes("a: ä\nb: ä".encode() + b"\xe4\n")
    assert refused([path]) == [
        (str(path), 2, 5, "not UTF-8: the byte 0xe4 does not belong here; save the file as UTF-8"),
    ]
    path.write_bytes("a: b".encode("utf-16"))
    assert "not UTF-8" in refused([path])[0][3]


def test_byte_order_mark(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_bytes(b"\xef\xbb\xbf" + network_set("a").encode())
    assert [name for name, _ in names([path])] == ["a"]


def test_too_large_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "MAX_BYTES", 1024 * 1024)
    path = tmp_path / "a.yaml"
    path.write_bytes(b"#" * (1024 * 1024))
    assert names([path]) == []
    path.write_bytes(b"#" * (1024 * 1024 + 1))
    assert refused([path]) == [(str(path), 0, 0, "larger than 1 MiB: split it into several files")]


def test_the_other_files_are_still_checked(tmp_path: Path) -> None:
    (tmp_path / "1.yaml").write_text("a: [")
    (tmp_path / "2.yaml").write_text(text_of(document("GlobalNetworkSet", {"nets": ["bad"]})))
    (tmp_path / "3.yaml").write_bytes(b"\xff")
    found = refused([tmp_path, tmp_path / "4.yaml"])
    assert [os.path.basename(file) for file, *_ in found] == ["1.yaml", "2.yaml", "3.yaml", "4.yaml"]  # noqa: PTH119


def test_standard_input() -> None:
    assert names(["-", "-"], io.StringIO(network_set("a"))) == [("a", "-")]
    binary = io.TextIOWrapper(io.BytesIO(network_set("b").encode()), encoding="ascii")
    assert names(["-"], binary) == [("b", "-")]
    assert refused(["-"], io.StringIO("a: [\n"))[0][:3] == ("-", 2, 1)
    assert "not UTF-8" in refused(["-"], io.TextIOWrapper(io.BytesIO(b"\xff")))[0][3]


def test_standard_input_of_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(network_set("a")))
    assert names(["-"]) == [("a", "-")]
    monkeypatch.setattr("sys.stdin", None)
    assert refused(["-"]) == [("-", 0, 0, "there is no standard input")]


def test_closed_standard_input() -> None:
    stream = io.StringIO("")
    stream.close()
    assert "can not be read" in refused(["-"], stream)[0][3]


def test_name_that_is_no_utf_8(tmp_path: Path) -> None:
    path = os.path.join(os.fsencode(tmp_path), b"\xff.yaml")  # noqa: PTH118
    with open(path, "wb") as file:  # noqa: PTH123
        file.write(b"}")
    ((name, *_),) = refused([tmp_path])
    assert name.endswith("\\xff.yaml")
