"""A governed host, and a folder of manifests."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pyxdp.dataplane import Dataplane
from tests.veth.host import Host

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.lab.network import Interface


@pytest.fixture
def host(veth: tuple[Interface, Interface], bpffs: Path) -> Iterator[Host]:
    """The first end of the pair is the governed host; everything of pyxdp's is removed from it at the end."""
    made = Host(veth[0], veth[1], bpffs)
    yield made
    with veth[0].namespace.entered():
        Dataplane(bpffs).delete()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Of manifests; empty."""
    made = tmp_path / "policy"
    made.mkdir()
    return made
