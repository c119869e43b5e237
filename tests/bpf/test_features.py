from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from pyxdp.bpf import Features, NotSupported, Supported, Unknown, features
from pyxdp.errors import BpfError

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.usefixtures("kernel")
def test_a_new_kernel_has_everything() -> None:
    found = features.probe()
    if os.uname().release < "5.18":
        pytest.skip("this kernel has no live frames; tests/kernels covers old ones")
    assert {name for name, support in found if not support} == set()


def test_where_no_bpffs_is_mounted(tmp_path: Path) -> None:
    assert features.probe(str(tmp_path)).bpffs == NotSupported(
        "", f"no bpffs is mounted at {tmp_path}; mount one with: mount -t bpf bpf {tmp_path}"
    )
    assert features.probe(str(tmp_path / "missing")).bpffs == NotSupported(
        "", f"{tmp_path}/missing: No such file or directory"
    )


@pytest.mark.usefixtures("kernel")
def test_without_privileges_most_is_unknown() -> None:
    program = (
        "import json; from pyxdp.bpf import features; "
        "print(json.dumps({name: [type(s).__name__, str(s)] for name, s in features.probe()}))"
    )
    command = ["setpriv", "--bounding-set=-all", "--inh-caps=-all", sys.executable]
    run = subprocess.run([*command, "-c", program], check=True, capture_output=True, text=True)
    found = json.loads(run.stdout)
    assert found["ring_buffer"][0] == found["live_frames"][0] == "Unknown"
    assert found["capabilities"][0] == "NotSupported"
    assert "lacks the capabilities NET_ADMIN, PERFMON, BPF" in found["capabilities"][1]
    assert found["xdp_link"][0] == "Supported"


def test_three_answers() -> None:
    refuse = features._refused
    assert refuse(BpfError(errno.EINVAL, "map"), "5.8", errno.EINVAL) == NotSupported("5.8", "map: Invalid argument")
    unknown = refuse(BpfError(errno.EPERM, "map"), "5.8", errno.EINVAL)
    assert unknown == Unknown("map: Operation not permitted")
    assert not unknown
    assert Supported()
    assert len(list(Features(*[Supported()] * 7))) == 7
