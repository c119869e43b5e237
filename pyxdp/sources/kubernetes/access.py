"""Where the API server is, and how to be let in: a pod's service account, or a kubeconfig."""

from __future__ import annotations

import base64
import binascii
import logging
import os
import ssl
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import yaml

from pyxdp.errors import OperatorError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

_LOG: Final = logging.getLogger(__name__)

SERVICE_ACCOUNT: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount")


def _no_token() -> str:
    return ""


@dataclass(frozen=True, slots=True)
class _File:
    """A file as it was once; another one that has taken its place has another inode."""

    path: Path
    modified_ns: int = 0
    inode: int = 0

    @classmethod
    def of(cls, path: Path) -> _File:
        try:
            found = path.stat()
        except OSError:
            return cls(path)
        return cls(path, found.st_mtime_ns, found.st_ino)


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """An API server and what it wants to see.

    Attributes:
        server: its URL, without a slash at the end.
        tls: whom to believe, and the client's certificate if there is one; ``None`` for a server without TLS.
        token: asked before each request, since the kubelet renews a pod's token every hour; empty for none.
        server_name: that its certificate has to have; empty: that of the URL.
        proxy: URL of an HTTP proxy; empty for none. The environment's are not used.
        files: that all this was read from, with their stamps of then.
        read_again: reads it anew; ``None`` where there is nothing to read.
    """

    server: str
    tls: ssl.SSLContext | None
    token: Callable[[], str] = field(default=_no_token)
    server_name: str = ""
    proxy: str = ""
    files: tuple[_File, ...] = ()
    read_again: Callable[[], Access] | None = None

    def renewed(self) -> Access:
        """Return what it is now, as its files say; itself, if they have not changed or can not be used.

        Authorities and certificates are replaced sooner than an agent ends.
        """
        if self.read_again is None or all(_File.of(file.path) == file for file in self.files):
            return self
        try:
            return self.read_again()
        except OperatorError as error:
            _LOG.warning("%s", error)
            return self


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
    authority = _File.of(folder / "ca.crt")
    try:
        tls = ssl.create_default_context(cafile=authority.path)
    except OSError as error:
        raise OperatorError(f"{authority.path} can not be used: {error}") from error
    again = partial(of_pod, folder)
    return Access(server=server, tls=tls, token=_token_of(folder / "token"), files=(authority,), read_again=again)


def from_kubeconfig(path: Path, context: str = "") -> Access:
    """Read a kubeconfig. What it says of files is relative to its folder.

    Raises:
        OperatorError: it can not be read, lacks something, or wants a way to log in that is not known here.
    """
    try:
        file = _File.of(path)
        return _Kubeconfig(file, yaml.safe_load(path.read_text(encoding="utf-8"))).access(context)
    except (OSError, UnicodeDecodeError, yaml.YAMLError, binascii.Error, ssl.SSLError) as error:
        raise OperatorError(f"the kubeconfig {path} can not be used: {error}") from error


class _Kubeconfig:
    """A kubeconfig's text as a tree of mappings and lists."""

    def __init__(self, file: _File, tree: object) -> None:
        self._path = file.path
        self._files = [file]
        self._tree: Mapping[str, Any] = tree if isinstance(tree, dict) else {}

    def access(self, context: str) -> Access:
        chosen = self._named("contexts", context or str(self._tree.get("current-context") or ""))
        cluster = self._named("clusters", str(chosen.get("cluster") or ""))
        user = self._named("users", str(chosen["user"])) if chosen.get("user") else {}
        server = str(cluster.get("server") or "").rstrip("/")
        if not server.startswith(("https://", "http://")):
            raise self._error("its cluster has no server")
        tls = self._tls(cluster, user) if server.startswith("https://") else None
        return Access(
            server=server,
            tls=tls,
            token=self._token(user),
            server_name=str(cluster.get("tls-server-name") or ""),
            proxy=str(cluster.get("proxy-url") or ""),
            files=tuple(self._files),
            read_again=partial(from_kubeconfig, self._path, context),
        )

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
        for name in ("exec", "auth-provider", "username", "as"):
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
        if not section.get(name):
            return b""
        file = _File.of(self._path.parent / str(section[name]))
        self._files.append(file)
        return file.path.read_bytes()

    def _error(self, what: str) -> OperatorError:
        return OperatorError(f"the kubeconfig {self._path} can not be used: {what}")


def _token_of(path: Path) -> Callable[[], str]:
    def read() -> str:
        return path.read_text(encoding="ascii").strip()

    return read


@contextmanager
def _as_file(content: bytes) -> Iterator[str]:
    """A file in memory, for a moment: ssl takes certificates from files alone, and a pod may have no place for one."""
    with os.fdopen(os.memfd_create("certificate"), "wb") as file:
        file.write(content)
        file.flush()
        yield f"/proc/self/fd/{file.fileno()}"
