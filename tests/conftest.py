"""Fixtures of all tests.

* The test process has a mount namespace of its own with a fresh bpffs (``tests/lab/mounts.py``), so that pins and named
  network namespaces are seen by nobody else and are gone when it ends.
* Commands keep what they keep of policy in a folder of their own (``PYXDP_STATE``), not in the machine's.
* ``netns``, ``veth``, ``bpffs``, ``host``, ``bpf_object``: what a test needs of the kernel, made for it and removed
  after it.
* A test that leaves a file descriptor open fails.
* A test that skips says what is missing; under ``PYXDP_REQUIRE_BPF=1`` a skip is a failure.
"""

from __future__ import annotations

import gc
import os
import secrets
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

from tests.lab.mounts import folder_for_pins, unshare_mounts
from tests.lab.network import Interface, Namespace, connect, namespace

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

    from tests.veth.host import Host

ROOT = Path(__file__).resolve().parent.parent
MISSING = pytest.StashKey[str]()

# How long an example takes says more of the machine than of what is tested.
settings.register_profile("pyxdp", deadline=None)
settings.load_profile("pyxdp")


def pytest_configure(config: pytest.Config) -> None:
    """Take this process (with xdist: each worker) out of the machine's mount namespace."""
    try:
        unshare_mounts()
    except OSError as error:
        config.stash[MISSING] = f"this process can not make a mount namespace with a bpffs: {error}"


@pytest.hookimpl(trylast=True)
def pytest_collection_finish() -> None:
    """Spare the collector, and the children of tests that fork, thousands of tests that stay to the end."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def state(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for what commands keep; it does not exist yet."""
    path = tmp_path_factory.getbasetemp() / f"state-{secrets.token_hex(4)}"
    monkeypatch.setenv("PYXDP_STATE", str(path))
    return path


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Under PYXDP_REQUIRE_BPF=1 turn a skip into a failure, with its reason."""
    report = yield
    if report.skipped and not hasattr(report, "wasxfail") and os.environ.get("PYXDP_REQUIRE_BPF") == "1":
        report.outcome = "failed"
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        report.longrepr = f"PYXDP_REQUIRE_BPF=1 wants every test to run, but this one was skipped: {reason}"
    return report


@pytest.fixture(autouse=True)
def no_fd_leak() -> Iterator[None]:
    """Fail a test after which more file descriptors are open than before."""
    before = _open_fds()
    yield
    if _open_fds().keys() - before.keys():
        gc.collect()
    leaked = {fd: target for fd, target in _open_fds().items() if fd not in before}
    assert not leaked, f"left open: {leaked}"


def _open_fds() -> dict[int, str]:
    found = {}
    for entry in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):  # the one that read the folder
            found[int(entry.name)] = str(entry.readlink())
    return found


@pytest.fixture(scope="session")
def kernel(request: pytest.FixtureRequest) -> None:
    """Skip unless this process may make namespaces and load BPF programs."""
    if MISSING in request.config.stash:
        pytest.skip(request.config.stash[MISSING])
    from pyxdp.bpf import features  # noqa: PLC0415 -- tests of the pure layers run without libbpf

    capabilities = features.probe().capabilities
    if not capabilities:
        pytest.skip(f"BPF programs can not be loaded: {capabilities}")


@pytest.fixture
def bpffs(kernel: None) -> Iterator[Path]:
    """A folder in the bpffs, empty; removed with all pins in it."""
    with folder_for_pins() as folder:
        yield folder


@pytest.fixture
def netns(kernel: None) -> Iterator[Callable[[], Namespace]]:
    """Make network namespaces: each call a new one."""
    with ExitStack() as stack:
        yield lambda: stack.enter_context(namespace())


@pytest.fixture
def veth(netns: Callable[[], Namespace]) -> tuple[Interface, Interface]:
    """Two ends of a veth pair, each in a namespace of its own, up and with addresses."""
    return connect(netns(), netns())


@pytest.fixture
def host(veth: tuple[Interface, Interface], bpffs: Path) -> Iterator[Host]:
    """The first end of the pair is the governed host; everything of pyxdp's is removed from it at the end."""
    from tests.veth.host import Host  # noqa: PLC0415 -- tests of the pure layers run without libbpf

    made = Host(veth[0], veth[1], bpffs)
    yield made
    made.delete()


@pytest.fixture(scope="session")
def bpf_object() -> Callable[[str], Path]:
    """Find an object of ``tests/bpf/objects/`` by name, or ``pyxdp`` itself."""

    def find(name: str) -> Path:
        path = ROOT / "pyxdp/pyxdp.bpf.o" if name == "pyxdp" else ROOT / f"build/tests/{name}.bpf.o"
        if not path.exists():
            pytest.fail(f"{path} is not built: run pip install -e . or, later, cmake --build build")
        return path

    return find
