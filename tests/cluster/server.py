"""etcd and kube-apiserver in a network namespace of their own, and a client that may do everything."""

from __future__ import annotations

import json
import os
import re
import signal
import ssl
import subprocess
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import httpcore
import yaml

from tests.lab.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Mapping

    from typing_extensions import Self

    from tests.lab.network import Namespace

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "pyxdp/cluster"
ADDRESS = "10.99.0.1"
"""Of the server as the source under test knows it; :meth:`Cluster.cut` takes it away."""

ADMIN = "admin-token"
_PORT = 6443
_ETCD = "http://127.0.0.1:2379"
_PEER = "http://127.0.0.1:2380"
_READY_S = 180.0


class Cluster:
    """A control plane without nodes. Everything is in ``folder`` and on the loopback of ``space``."""

    def __init__(self, space: Namespace, folder: Path) -> None:
        self.space = space
        self.folder = folder
        self.url = f"https://{ADDRESS}:{_PORT}"
        self.authority = folder / "tls.crt"
        self._running: dict[str, subprocess.Popen[str]] = {}

    def start(self) -> None:
        """Make keys, start both, and wait until the server is ready."""
        self._make_keys()
        self.restore()
        self._start("etcd", *_etcd_arguments(self.folder))
        self.start_server()

    def start_server(self) -> None:
        """Start the API server, and wait until it is ready."""
        self._start("kube-apiserver", *_server_arguments(self.folder))
        wait_until(self._is_ready, timeout=_READY_S, what=f"kube-apiserver is ready; its log is in {self.folder}")

    @property
    def is_running(self) -> bool:
        """Whether the API server has been started, and not been stopped since."""
        return "kube-apiserver" in self._running

    def stop_server(self) -> None:
        """Kill the API server; etcd goes on."""
        self._end("kube-apiserver")

    def pause_server(self) -> None:
        """Let the API server answer nobody, without an end of any connection."""
        self._running["kube-apiserver"].send_signal(signal.SIGSTOP)

    def resume_server(self) -> None:
        """Let it go on."""
        self._running["kube-apiserver"].send_signal(signal.SIGCONT)

    def cut(self) -> None:
        """Drop what goes between :data:`ADDRESS` and its clients; the admin is not concerned."""
        with self.space.links() as ip:
            ip.addr("del", index=1, address=ADDRESS, prefixlen=32)

    def restore(self) -> None:
        """Undo :meth:`cut`."""
        with self.space.links() as ip:
            ip.addr("replace", index=1, address=ADDRESS, prefixlen=32)

    def stop(self) -> None:
        """End everything, however it is."""
        for name in [*self._running]:
            self._end(name)

    def admin(self) -> Admin:
        """Return a client that may do everything, to be used as a context manager."""
        return self.client(ADMIN)

    def client(self, token: str) -> Admin:
        """Return a client that may do what the owner of a token may, to be used as a context manager."""
        return Admin(self.space, f"https://127.0.0.1:{_PORT}", self.authority, token)

    def kubeconfig(self, token: str) -> Path:
        """Write a kubeconfig for somebody who has a token, and return its path."""
        path = self.folder / f"kubeconfig-{hash(token)}"
        written = {
            "current-context": "test",
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": "agent"}}],
            "clusters": [{"name": "test", "cluster": {"server": self.url, "certificate-authority": "tls.crt"}}],
            "users": [{"name": "agent", "user": {"token": token}}],
        }
        path.write_text(yaml.safe_dump(written))
        return path

    def _make_keys(self) -> None:
        names = f"subjectAltName=IP:127.0.0.1,IP:{ADDRESS}"
        tls = ["-keyout", "tls.key", "-out", "tls.crt", "-subj", "/CN=kube-apiserver", "-addext", names]
        request = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "3", *tls]
        for command in (request, ["openssl", "genrsa", "-out", "sa.key", "2048"]):
            subprocess.run(command, check=True, capture_output=True, cwd=self.folder)
        (self.folder / "tokens.csv").write_text(f"{ADMIN},admin,admin,system:masters\n")

    def _start(self, program: str, *arguments: str) -> None:
        with (self.folder / f"{program}.log").open("a") as log:
            # If this process is killed, so is the program.
            command = ["setpriv", "--pdeathsig", "KILL", str(CACHE / program), *arguments]
            self._running[program] = self.space.popen(
                *command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, cwd=self.folder
            )

    def _end(self, program: str) -> None:
        running = self._running.pop(program)
        running.kill()
        running.wait()

    def _is_ready(self) -> bool:
        assert self._running["kube-apiserver"].poll() is None, f"kube-apiserver has ended, see {self.folder}"
        with self.admin() as admin:
            try:
                return admin.ask("GET", "/readyz").is_good
            except (httpcore.NetworkError, httpcore.ProtocolError):
                return False


@dataclass(frozen=True)
class Answer:
    """What the API server answered."""

    status: int
    body: bytes

    @property
    def is_good(self) -> bool:
        return HTTPStatus.OK <= self.status < HTTPStatus.MULTIPLE_CHOICES

    def json(self) -> dict[str, Any]:
        return dict(json.loads(self.body))


class Admin:
    """Asks for things. A context manager; its connections are in the namespace of the server."""

    def __init__(self, space: Namespace, url: str, authority: Path, token: str) -> None:
        self._space = space
        self._url = url
        self._token = token
        self._pool = httpcore.ConnectionPool(ssl_context=ssl.create_default_context(cafile=authority))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.close()

    def get(self, path: str, **parameters: str) -> dict[str, Any]:
        """Return what is there; fails when nothing is."""
        return self.send("GET", f"{path}?{urlencode(parameters)}")

    def create(self, written: Mapping[str, Any]) -> dict[str, Any]:
        """Create an object and return it."""
        return self.send("POST", collection_of(written), written)

    def merge(self, written: Mapping[str, Any]) -> dict[str, Any]:
        """Change what an object says, in the fields that are given."""
        return self.send("PATCH", path_of(written), written, "application/merge-patch+json")

    def delete(self, written: Mapping[str, Any]) -> None:
        """Delete an object."""
        self.send("DELETE", path_of(written), {"gracePeriodSeconds": 0})

    def status_writes(self) -> int:
        """Return how many times a status was written, as the server counts them."""
        counts = re.findall(
            r'^apiserver_request_total\{.*subresource="status",verb="(?:PATCH|APPLY)".*\} (\d+)$',
            self.ask("GET", "/metrics").body.decode(),
            re.MULTILINE,
        )
        return sum(map(int, counts))

    def send(self, method: str, path: str, body: object = None, media_type: str = "application/json") -> dict[str, Any]:
        """Send something; fails when it is refused."""
        answer = self.ask(method, path, body, media_type)
        assert answer.is_good, f"{method} {path}: {answer.status} {answer.body!r}"
        return answer.json()

    def ask(self, method: str, path: str, body: object = None, media_type: str = "application/json") -> Answer:
        """Send something, and return any answer."""
        content = None if body is None else json.dumps(body).encode()
        headers = {"Authorization": f"Bearer {self._token}", "Content-Type": media_type}
        with self._space.entered():
            response = self._pool.request(method, f"{self._url}{path}", headers=headers, content=content)
        return Answer(response.status, response.content)


#: Plurals that are not the kind in lower case and an s.
_PLURALS = {"GlobalNetworkPolicy": "globalnetworkpolicies", "StagedGlobalNetworkPolicy": "stagedglobalnetworkpolicies"}
_PLURALS |= {"NetworkPolicy": "networkpolicies"}


def collection_of(written: Mapping[str, Any]) -> str:
    """Return where objects of the kind are created."""
    version, kind = written["apiVersion"], written["kind"]
    root = f"/apis/{version}" if "/" in version else f"/api/{version}"
    namespace = written["metadata"].get("namespace")
    inside = f"/namespaces/{namespace}" if namespace else ""
    return f"{root}{inside}/{_PLURALS.get(kind, kind.lower() + 's')}"


def path_of(written: Mapping[str, Any]) -> str:
    """Return where an object is."""
    return f"{collection_of(written)}/{written['metadata']['name']}"


def _etcd_arguments(folder: Path) -> list[str]:
    return [
        f"--data-dir={folder}/etcd",
        f"--listen-client-urls={_ETCD}",
        f"--advertise-client-urls={_ETCD}",
        f"--listen-peer-urls={_PEER}",
        f"--initial-advertise-peer-urls={_PEER}",
        f"--initial-cluster=default={_PEER}",
    ]


def _server_arguments(folder: Path) -> list[str]:
    return [
        f"--etcd-servers={_ETCD}",
        f"--secure-port={_PORT}",
        "--bind-address=0.0.0.0",
        f"--advertise-address={ADDRESS}",
        f"--tls-cert-file={folder}/tls.crt",
        f"--tls-private-key-file={folder}/tls.key",
        f"--client-ca-file={folder}/tls.crt",
        f"--cert-dir={folder}/certificates",
        "--service-account-issuer=https://kubernetes.default.svc",
        f"--service-account-key-file={folder}/sa.key",
        f"--service-account-signing-key-file={folder}/sa.key",
        "--service-cluster-ip-range=10.0.0.0/24",
        "--authorization-mode=RBAC",
        f"--token-auth-file={folder}/tokens.csv",
        "--disable-admission-plugins=ServiceAccount",
    ]
