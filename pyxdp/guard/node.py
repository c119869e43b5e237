"""The node's own way to its API server."""

from __future__ import annotations

import os
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import yaml

from pyxdp.guard.names import Names

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyxdp.net import Address

#: The kubelet's own configuration, as kubeadm, managed clusters and k3s write it.
_KUBECONFIGS: Final = (
    "/etc/kubernetes/kubelet.conf",
    "/var/lib/kubelet/kubeconfig",
    "/var/lib/rancher/k3s/agent/kubelet.kubeconfig",
)
_DEFAULT_PORTS: Final = {"https": 443, "http": 80}
#: Where the kubelet is spoken to by the API server.
KUBELET_PORT: Final = 10250

_names = Names()


def api_servers() -> frozenset[tuple[Address, int]]:
    """Return address and port of the API servers that this machine is told of; by name, too, if that is known soon."""
    servers = [*_of_environment(), *(server for path in _kubeconfigs() for server in _of_kubeconfig(path))]
    return frozenset(found for server in servers for found in _endpoint(server))


def _of_environment() -> Iterator[str]:
    host, port = os.environ.get("KUBERNETES_SERVICE_HOST"), os.environ.get("KUBERNETES_SERVICE_PORT", "443")
    if host:
        yield f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}"


def _kubeconfigs() -> list[Path]:
    named = os.environ.get("KUBECONFIG", "").split(os.pathsep)
    return [Path(name) for name in (*named, *_KUBECONFIGS) if name]


def _of_kubeconfig(path: Path) -> list[str]:
    """Return the servers of a kubeconfig; none if it is not there or is none: to say so is the business of others."""
    try:
        clusters = yaml.safe_load(path.read_text(encoding="utf-8"))["clusters"]
        return [str(it["cluster"]["server"]) for it in clusters]
    except (OSError, UnicodeDecodeError, yaml.YAMLError, LookupError, TypeError):
        return []


def _endpoint(server: str) -> Iterator[tuple[Address, int]]:
    try:
        url = urlsplit(server)
        name, port = url.hostname or "", url.port or _DEFAULT_PORTS.get(url.scheme, 0)
    except ValueError:
        return
    for address in _addresses(name) if name and port else ():
        if not address.is_loopback:
            yield address, port


def _addresses(name: str) -> frozenset[Address]:
    try:
        return frozenset({ip_address(name)})
    except ValueError:
        return _names.addresses(name)
