"""A machine for the command."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pyxdp.dataplane import Dataplane
from tests.cli.machine import Machine, endpoint, policy

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.lab.network import Interface


@pytest.fixture
def machine(veth: tuple[Interface, Interface], bpffs: Path, tmp_path: Path) -> Iterator[Machine]:
    """A host without policy; everything of pyxdp's is removed from it at the end."""
    made = Machine(veth[0], veth[1], bpffs, tmp_path)
    yield made
    with veth[0].namespace.entered():
        Dataplane(bpffs).delete()


@pytest.fixture
def manifest(machine: Machine) -> str:
    """Name of a file: the machine's endpoint, and a policy that allows Redis."""
    return machine.write("redis.yaml", endpoint(machine.end.name) + policy())


@pytest.fixture
def governed(machine: Machine, manifest: str) -> Machine:
    """The machine with that policy in force."""
    done = machine.run("apply", manifest, "--node", "host")
    assert done.returncode == 0, done.stderr
    return machine
