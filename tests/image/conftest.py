"""The image, built once, and a node on which its pod runs."""

from __future__ import annotations

import fcntl
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from pyxdp.dataplane import Dataplane
from tests.image.containers import CACHE, ROOT, TAG, Pod, Podman
from tests.lab.mounts import BPFFS
from tests.veth.host import Host

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.lab.network import Interface


@pytest.fixture(scope="session")
def podman(kernel: None) -> Iterator[Podman]:
    """Podman with the image in its storage."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        shutil.rmtree(CACHE / "run", ignore_errors=True)  # of containers whose test was killed
        done = subprocess.run(
            [ROOT / "tests/image/build", CACHE, TAG],
            check=False,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert done.returncode == 0, done.stdout[-5000:]
        yield Podman()


@pytest.fixture
def host(veth: tuple[Interface, Interface]) -> Iterator[Host]:
    """A node, with the machine's own place for pins: names in rules are those inside of the container."""
    made = Host(veth[0], veth[1], BPFFS)
    yield made
    with veth[0].namespace.entered():
        Dataplane(BPFFS).delete()


@pytest.fixture
def pod(podman: Podman, host: Host, tmp_path: Path) -> Pod:
    """The pod of the DaemonSet on this node."""
    state, lock = tmp_path / "state", tmp_path / "xtables.lock"
    state.mkdir()
    lock.touch()
    return Pod(podman, host.space, {"bpffs": BPFFS, "state": state, "xtables-lock": lock})
