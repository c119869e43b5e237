"""The agent's process, which dies and begins again, as this build or as another; and what it may leave behind."""

from __future__ import annotations

import ctypes
import shutil
import signal
from contextlib import suppress
from ctypes.util import find_library
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pyxdp
from pyxdp.bpf import Link, Map
from pyxdp.errors import BpfError
from tests.agent.processes import Process, launched
from tests.lab.waiting import wait_until

if TYPE_CHECKING:
    from random import Random

    from tests.veth.host import Host

_PACKAGE: Final = Path(pyxdp.__file__).parent


class Lives:
    """One agent after the other.

    Attributes:
        kills: how many were killed.
        upgrades: how many were followed by another build.
    """

    def __init__(self, host: Host, folder: Path, chance: Random) -> None:
        """Make the other build; no agent lives yet."""
        self._host, self._folder, self._chance = host, folder, chance
        self._builds = [_PACKAGE.parent, _another_build(folder.parent / "other")]
        self._logs = folder.parent / "logs"
        self._logs.mkdir()
        self._number = 0
        self.kills = self.upgrades = 0
        self.begin()

    @property
    def process(self) -> Process:
        """The one that lives, or has died last."""
        return self._process

    @property
    def is_other_build(self) -> bool:
        """Whether it is not the build that the test runs."""
        return self._builds[0] != _PACKAGE.parent

    def begin(self) -> None:
        """Start one."""
        self._number += 1
        log = self._logs / f"{self._number}.log"
        self._process = launched(self._host, self._folder, package=self._builds[0], log=log)

    def kill(self) -> None:
        """Kill it, wherever it is."""
        self._expect_alive()
        self._process.end(signal.SIGKILL)
        self.kills += 1

    def upgrade(self) -> None:
        """End it, in this way or that; the next one is of another build."""
        self._expect_alive()
        number = self._chance.choice((signal.SIGTERM, signal.SIGKILL))
        code = self._process.end(number)
        assert code == (0 if number == signal.SIGTERM else -number), self._process.log.read_text()
        self._builds.reverse()
        self.upgrades += 1

    def close(self) -> None:
        """End the last one."""
        if self._process.popen.poll() is None:
            self._process.end(signal.SIGKILL)

    def _expect_alive(self) -> None:
        assert self._process.popen.poll() is None, self._process.log.read_text()

    # -- what it uses --

    def descriptors(self) -> int:
        """Return how many file descriptors it has open."""
        return sum(1 for _ in Path(f"/proc/{self._process.popen.pid}/fd").iterdir())

    def resident(self) -> int:
        """Return its resident memory in MiB."""
        lines = Path(f"/proc/{self._process.popen.pid}/status").read_text().splitlines()
        (line,) = (it for it in lines if it.startswith("VmRSS:"))
        return int(line.split()[1]) >> 10


class Holdings:
    """What the kernel holds for a host, and was ever seen to hold: maps, programs and links by their ids."""

    def __init__(self, host: Host) -> None:
        """Nothing was seen yet."""
        self._host = host
        self._maps: set[int] = set()
        self._programs: set[int] = set()

    def note(self, process: Process) -> None:
        """See what is pinned, attached, and held by a process."""
        for folder in Path(self._host.bpffs / "pyxdp/v1/objects").glob("*/maps"):
            for pin in folder.iterdir():
                with suppress(BpfError), Map.from_pin(pin) as found:
                    self._maps.add(found.info.id)
        for pin in Path(self._host.bpffs / "pyxdp/v1/links").iterdir():
            with suppress(BpfError), Link.from_pin(pin) as link:
                self._programs.add(link.info.program_id)
        self._note_held(process.popen.pid)

    def _note_held(self, pid: int) -> None:
        for info in Path(f"/proc/{pid}/fdinfo").iterdir():
            with suppress(FileNotFoundError):
                fields = dict(it.split(":\t", 1) for it in info.read_text().splitlines() if ":\t" in it)
                self._maps |= {int(fields["map_id"])} if "map_id" in fields else set()
                self._programs |= {int(fields["prog_id"])} if "prog_id" in fields else set()

    @property
    def seen(self) -> int:
        """How many there were."""
        return len(self._maps) + len(self._programs)

    def left(self) -> list[str]:
        """Wait until the kernel has given back what nobody holds, and return what it still has."""

        def find() -> list[str]:
            maps = [f"map {it}" for it in sorted(self._maps & _ids("map"))]
            return maps + [f"program {it}" for it in sorted(self._programs & _ids("prog"))]

        with suppress(AssertionError):
            wait_until(lambda: not find())
        return find()


def _ids(kind: str) -> set[int]:
    """Return all that there are on the machine. None is opened: that would keep it, and touch program arrays."""
    found: set[int] = set()
    number = ctypes.c_uint32(0)
    following = getattr(ctypes.CDLL(find_library("bpf")), f"bpf_{kind}_get_next_id")
    while following(number, ctypes.byref(number)) == 0:
        found.add(number.value)
    return found


def _another_build(folder: Path) -> Path:
    """Make a package whose BPF object is another, though it does the same, and return the folder that it is in."""
    shutil.copytree(_PACKAGE, folder / "pyxdp", ignore=shutil.ignore_patterns("__pycache__"))
    with (folder / "pyxdp/pyxdp.bpf.o").open("ab") as file:
        file.write(bytes(8))
    return folder
