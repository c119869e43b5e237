"""Runs in a guest, with the installed wheel: the object loads, attaches natively to virtio_net, and judges traffic.

The tests of ``tests/veth/test_traffic.py`` run here again, between two cards instead of a veth pair (see conftest).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import pyxdp
from pyxdp.bpf import Object, features
from tests.cli.inside import run_inside
from tests.kernels.guest.conftest import CARDS
from tests.lab.waiting import wait_until
from tests.veth.host import NODE, Host, endpoint, service
from tests.veth.test_traffic import *  # noqa: F403 -- its tests

if TYPE_CHECKING:
    from collections.abc import Callable

OBJECT = Path(pyxdp.__file__).resolve().parent / "pyxdp.bpf.o"


def test_package_is_installed_from_the_wheel() -> None:
    assert OBJECT.is_relative_to("/opt/pyxdp")


def test_features(record_property: Callable[[str, object], None]) -> None:
    for name, support in features.probe():
        record_property(name, bool(support))


def test_object_loads(record_property: Callable[[str, object], None]) -> None:
    with Object.open(OBJECT) as opened:
        opened.load()
        for name, program in opened.programs.items():
            record_property(name, program.info.verified_instructions)


@pytest.mark.parametrize("card", CARDS)
def test_cards_are_virtio_net(card: str) -> None:
    driver = Path(f"/sys/class/net/{card}/device/driver")
    wait_until(driver.exists, what=f"{card} is back from a namespace")
    assert driver.resolve().name == "virtio_net"


@pytest.mark.parametrize("at", [0, 1])
def test_native_xdp_on_virtio_net(host: Host, tmp_path: Path, at: int) -> None:
    """The command line from ``apply`` to ``delete``, on either card; in processes of its own on the first."""
    end = (host.end, host.peer)[at]
    manifest = tmp_path / "policy.yaml"
    manifest.write_text(endpoint(end.name) + service(6379), encoding="utf-8")

    def pyxdp_says(*arguments: str) -> str:
        command = *arguments, "--bpffs", str(host.bpffs)
        if at == 0:
            return end.namespace.run("pyxdp", *command).stdout
        with end.namespace.entered():
            done = run_inside(tmp_path, *command)
        assert done.returncode == 0, done.stderr
        return done.stdout

    pyxdp_says("apply", "--node", NODE, str(manifest))
    status = json.loads(pyxdp_says("status", "--json"))
    assert [(it["interface"], it["mode"]) for it in status["endpoints"]] == [(end.name, "native")]
    pyxdp_says("delete")
    assert list(host.bpffs.iterdir()) == []
