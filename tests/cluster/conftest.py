"""One control plane for all tests of this folder, with pyxdp's CRDs and roles; a test removes the objects it made."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tests.cluster.server import Admin, Cluster, path_of
from tests.lab.network import namespace
from tests.lab.waiting import wait_until
from tests.veth.host import Host

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.lab.network import Interface

ROOT = Path(__file__).resolve().parent.parent.parent


def documents(*names: str) -> list[dict[str, Any]]:
    """Return the objects of files in deploy/."""
    return [one for name in names for one in yaml.safe_load_all((ROOT / "deploy" / name).read_text())]


@pytest.fixture(scope="session")
def cluster(kernel: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A control plane; the programs are built if they are missing."""
    subprocess.run([ROOT / "tests/cluster/build-apiserver"], check=True)
    with namespace() as space:
        running = Cluster(space, tmp_path_factory.mktemp("cluster"))
        try:
            running.start()
            yield running
        finally:
            running.stop()


@pytest.fixture(scope="session")
def installed(cluster: Cluster) -> str:
    """Install the CRDs and roles of deploy/; return a token of the agent's service account."""
    with cluster.admin() as admin:
        for document in documents("crds.yaml", "crd-status.yaml", "rbac.yaml"):
            admin.create(document)
        for path in map(_list_path, documents("crds.yaml")):
            wait_until(lambda path=path: admin.ask("GET", path).is_good, what="the CRDs are served")
        return token_of(admin, "pyxdp")


def token_of(admin: Admin, account: str) -> str:
    """Ask for a token of a service account in the namespace pyxdp."""
    request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
    path = f"/api/v1/namespaces/pyxdp/serviceaccounts/{account}/token"
    return str(admin.send("POST", path, request)["status"]["token"])


@pytest.fixture
def host(veth: tuple[Interface, Interface], bpffs: Path) -> Iterator[Host]:
    """A host to govern; everything of pyxdp's is removed from it at the end."""
    made = Host(veth[0], veth[1], bpffs)
    yield made
    with made.space.entered():
        made.dataplane().delete()


@pytest.fixture
def admin(cluster: Cluster, installed: str) -> Iterator[Recorder]:
    """A client that removes again what it made."""
    with cluster.admin() as client:
        recorder = Recorder(client)
        yield recorder
        recorder.remove()


class Recorder:
    """An admin that remembers what it created."""

    def __init__(self, client: Admin) -> None:
        self.client = client
        self._created: list[dict[str, Any]] = []

    def create(self, *objects: dict[str, Any]) -> None:
        """Create objects."""
        for one in objects:
            self.client.create(one)
            self._created.append(one)

    def merge(self, *objects: dict[str, Any]) -> None:
        """Change what objects say, in the fields that are given."""
        for one in objects:
            self.client.merge(one)

    def delete(self, *objects: dict[str, Any]) -> None:
        """Delete objects."""
        for one in objects:
            self.client.delete(one)
            self._created.remove(one)

    def remove(self) -> None:
        """Delete everything that was created and is still there."""
        for one in reversed(self._created):
            self.client.ask("DELETE", path_of(one), {"gracePeriodSeconds": 0})


def _list_path(definition: dict[str, Any]) -> str:
    spec = definition["spec"]
    return f"/apis/{spec['group']}/{spec['versions'][0]['name']}/{spec['names']['plural']}"
