"""A kubeconfig that holds everything itself: the authority, and a client's certificate and key."""

from __future__ import annotations

import base64
import subprocess
from typing import TYPE_CHECKING

import pytest
import yaml

from pyxdp.sources.kubernetes import find_access
from tests.cluster.following import following

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cluster.server import Cluster


AUTHORITY = {"certificate-authority": "authority"}


def test_a_client_certificate(cluster: Cluster, installed: str, tmp_path: Path) -> None:
    authority_key = cluster.folder / "tls.key"
    (tmp_path / "uses").write_text("extendedKeyUsage=clientAuth\n")
    _openssl(tmp_path, "req -new -newkey rsa:2048 -nodes -keyout key -out request -subj /CN=me/O=system:masters")
    signing = f"-CA {cluster.authority} -CAkey {authority_key} -set_serial 7 -extfile uses"
    signed = _openssl(tmp_path, f"x509 -req -in request {signing}")
    user = {
        "client-certificate-data": base64.b64encode(signed).decode(),
        "client-key-data": base64.b64encode((tmp_path / "key").read_bytes()).decode(),
    }
    authority = base64.b64encode(cluster.authority.read_bytes()).decode()
    config = {
        "current-context": "x",
        "contexts": [{"name": "x", "context": {"cluster": "x", "user": "x"}}],
        "clusters": [{"name": "x", "cluster": {"server": cluster.url, "certificate-authority-data": authority}}],
        "users": [{"name": "x", "user": user}],
    }
    (tmp_path / "config").write_text(yaml.safe_dump(config))
    with following(cluster, installed, access=find_access(tmp_path / "config")) as follower:
        follower.until(lambda it: it.complete)
        assert follower.last.connected


def test_a_server_that_is_somebody_else(cluster: Cluster, installed: str, tmp_path: Path) -> None:
    """Without its authority the server is not believed, and gets no token."""
    path = cluster.kubeconfig(installed)
    config = yaml.safe_load(path.read_text())
    del config["clusters"][0]["cluster"]["certificate-authority"]
    (tmp_path / "config").write_text(yaml.safe_dump(config))
    with following(cluster, installed, access=find_access(tmp_path / "config")) as follower:
        follower.until(lambda it: "certificate verify failed" in it.last.trouble)
        assert not follower.complete


def test_an_authority_that_is_replaced(cluster: Cluster, installed: str, tmp_path: Path) -> None:
    """As clusters do every few years, while the agent runs."""
    _openssl(tmp_path, "req -x509 -newkey rsa:2048 -nodes -keyout key -out authority -subj /CN=old")
    with following(cluster, installed, access=find_access(_with(cluster, installed, tmp_path, AUTHORITY))) as follower:
        follower.until(lambda it: "certificate verify failed" in it.last.trouble)
        (tmp_path / "new").write_bytes(cluster.authority.read_bytes())
        (tmp_path / "new").rename(tmp_path / "authority")
        follower.until(lambda it: it.complete)
        follower.until(lambda it: it.last.connected)


@pytest.mark.parametrize("name", ["127.0.0.1", "elsewhere"])
def test_a_name_for_the_certificate(name: str, cluster: Cluster, installed: str, tmp_path: Path) -> None:
    """It has 127.0.0.1, too, but not the other one."""
    (tmp_path / "authority").write_bytes(cluster.authority.read_bytes())
    config = _with(cluster, installed, tmp_path, {**AUTHORITY, "tls-server-name": name})
    with following(cluster, installed, access=find_access(config)) as follower:
        follower.until(lambda it: it.complete or "certificate verify failed" in it.last.trouble)
        assert follower.complete is (name == "127.0.0.1")


def _with(cluster: Cluster, token: str, folder: Path, changed: dict[str, str]) -> Path:
    """Write a kubeconfig that says something else of the cluster; return its path."""
    config = yaml.safe_load(cluster.kubeconfig(token).read_text())
    config["clusters"][0]["cluster"].update(changed)
    (folder / "config").write_text(yaml.safe_dump(config))
    return folder / "config"


def _openssl(folder: Path, arguments: str) -> bytes:
    return subprocess.run(["openssl", *arguments.split()], check=True, capture_output=True, cwd=folder).stdout
