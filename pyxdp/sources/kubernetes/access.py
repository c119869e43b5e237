"""Where the API server is, and how to be let in: a pod's service account, or a kubeconfig."""

from __future__ import annotations

import base64
import binascii
import os
import ssl
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import yaml

from pyxdp.errors import OperatorError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

SERVICE_ACCOUNT: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount")


def _no_token() -> str:
    return ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """An API server and what it wants to see.

    Attributes:
        server: its URL, without a slash at the end.
        tls: whom to believe, and the client's certificate if there is one; ``None`` for a server without TLS.
        token: asked before each request, since the kubelet renews a pod's token every hour; empty for none.
        proxy: URL of an HTTP proxy; empty for none. The environment's are not used.
    """

    server: str
    tls: ssl.SSLContext | None
    token: Callable[[], str] = field(default=_no_token)
    proxy: str = ""


def find_access(kubeconfig: str | os.PathLike[str] = "", context: str = "") -> Access:
    """Find the API server: by the kubeconfig given, by that of ``KUBECONFIG``, or as a pod finds it.

    Args:
        kubeconfig: path; empty to look around.
        context: of the kubeconfig; by default its current one.

    Raises:
        OperatorError: there is none, or it can not be used.
    """
    path = str(kubeconfig) or os.environ.get("KUBECONFIG", "")
    if path:
        return from_kubeconfig(Path(path), context)
    if "KUBERNETES_SERVICE_HOST" in os.environ:
        return of_pod()
    raise OperatorError(
        "no Kubernetes API server is known: this is no pod, and no kubeconfig is given",
        hint="name a kubeconfig, or set KUBECONFIG",
    )


def of_pod(folder: Path = SERVICE_ACCOUNT) -> Access:
    """Take the environment and the service account that Kubernetes gives to every pod.

    Raises:
        OperatorError: some of that is missing.
    """
    host = os.environ.get("KUBERNETES_SERVICE_HOST", "")
    port = os.environ.get("KUBERNETES_SERVICE_PORT", "443")
    if not host or not (folder / "token").exists():
        raise OperatorError(
            f"there is no service account in {folder}", hint="run as a pod, with automountServiceAccountToken: true"
        )
    server = f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}"
    try:
        tls = ssl.create_default_context(cafile=folder / "ca.crt")
    except OSError as error:
        raise OperatorError(f"{folder / 'ca.crt'} can not be used: {error}") from error
    return Access(server=server, tls=tls, token=_token_of(folder / "token"))


def from_kubeconfig(path: Path, context: str = "") -> Access:
    """Read a kubeconfig. What it says of files is relative to its folder.

    Raises:
        OperatorError: it can not be read, lacks something, or wants a way to log in that is not known here.
    """
    try:
        return _Kubeconfig(path, yaml.safe_load(path.read_text(encoding="utf-8"))).access(context)
    except (OSError, UnicodeDecodeError, yaml.YAMLError, binascii.Error, ssl.SSLError) as error:
        raise OperatorError(f"the kubeconfig {path} can not be used: {error}") from error


class _Kubeconfig:
    """A kubeconfig's text as a tree of mappings and lists."""

    def __init__(self, path: Path, tree: object) -> None:
        self._path = path
        self._tree: Mapping[str, Any] = tree if isinstance(tree, dict) else {}

    def access(self, context: str) -> Access:
        chosen = self._named("contexts", context or str(self._tree.get("current-context") or ""))
        cluster = self._named("clusters", str(chosen.get("cluster") or ""))
        user = self._named("users", str(chosen["user"])) if chosen.get("user") else {}
        server = str(cluster.get("server") or "").rstrip("/")
        if not server.startswith(("https://", "http://")):
            raise self._error("its cluster has no server")
        tls = self._tls(cluster, user) if server.startswith("https://") else None
        return Access(server=server, tls=tls, token=self._token(user), proxy=str(cluster.get("proxy-url") or ""))

    def _named(self, collection: str, name: str) -> Mapping[str, Any]:
        """Return ``clusters[name].cluster`` and the like."""
        for entry in self._tree.get(collection) or ():
            if isinstance(entry, dict) and entry.get("name") == name:
                found = entry.get(collection.removesuffix("s"))
                return found if isinstance(found, dict) else {}
        raise self._error(f"it has nothing named `{name}` among its {collection}")

    def _tls(self, cluster: Mapping[str, Any], user: Mapping[str, Any]) -> ssl.SSLContext:
        authority = self._bytes(cluster, "certificate-authority")
        tls = ssl.create_default_context(cadata=authority.decode("ascii") if authority else None)
        if cluster.get("insecure-skip-tls-verify"):
            tls.check_hostname = False
            tls.verify_mode = ssl.CERT_NONE
        certificate, key = self._bytes(user, "client-certificate"), self._bytes(user, "client-key")
        if certificate and key:
            with _as_file(certificate + b"\n" + key) as file:
                tls.load_cert_chain(file)
        return tls

    def _token(self, user: Mapping[str, Any]) -> Callable[[], str]:
        for name in ("exec", "auth-provider", "username"):
            if user.get(name):
                raise self._error(f"its user logs in by `{name}`, which an agent can not: use a token or a certificate")
        if user.get("tokenFile"):
            return _token_of(self._path.parent / str(user["tokenFile"]))
        token = str(user.get("token") or "")
        return lambda: token

    def _bytes(self, section: Mapping[str, Any], name: str) -> bytes:
        """Return what ``NAME-data`` holds, or the file that ``NAME`` names."""
        if section.get(f"{name}-data"):
            return base64.b64decode(str(section[f"{name}-data"]), validate=True)
        return (self._path.parent / str(section[name])).read_bytes() if section.get(name) else b""

    def _error(self, what: str) -> OperatorError:
        return OperatorError(f"the kubeconfig {self._path} can not be used: {what}")


def _token_of(path: Path) -> Callable[[], str]:
    def read() -> str:
        return path.read_text(encoding="ascii").strip()

    return read


@contextmanager
def _as_file(content: bytes) -> Iterator[str]:
    """A file that only its owner can read, for a moment: ssl takes certificates from files alone."""
    with tempfile.NamedTemporaryFile(prefix="pyxdp-") as file:
        file.write(content)
        file.flush()
        yield file.name
