"""Containers of the image, as ``deploy/daemonset.yaml`` describes them, but in a network namespace of a test."""

from __future__ import annotations

import os
import secrets
import subprocess
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from tests.lab.network import Namespace

ROOT = Path(__file__).resolve().parents[2]
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "pyxdp/image")
TAG = "localhost/pyxdp:test"


class Podman:
    """Podman with the storage of the tests."""

    def run(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run podman."""
        storage = ["--root", str(CACHE / "storage"), "--runroot", str(CACHE / "run"), "--storage-driver", "overlay"]
        runtime = ["--tmpdir", str(CACHE / "run/libpod"), "--runtime", "runc", "--cgroup-manager", "cgroupfs"]
        return subprocess.run(
            ["podman", *storage, *runtime, *arguments], check=check, capture_output=True, text=True, timeout=300
        )

    def inspect(self, name: str) -> Any:
        """What podman knows of a container or an image."""
        (found,) = yaml.safe_load(self.run("inspect", name).stdout)  # JSON is YAML
        return found


def daemonset() -> Any:
    """The pod of the DaemonSet."""
    return yaml.safe_load((ROOT / "deploy/daemonset.yaml").read_text())["spec"]["template"]["spec"]


@dataclass
class Pod:
    """The DaemonSet's pod on a node that is a network namespace.

    Attributes:
        podman: runs it.
        space: the node.
        places: what the volumes of the manifest are here, by name.
    """

    podman: Podman
    space: Namespace
    places: Mapping[str, Path]
    manifest: Any = field(default_factory=daemonset)

    def restore(self) -> subprocess.CompletedProcess[str]:
        """Run the init container."""
        (container,) = self.manifest["initContainers"]
        first, *rest = container["command"]
        return self.podman.run("run", "--rm", "--entrypoint", first, *self._options(container), TAG, *rest)

    def command(
        self, *arguments: str, entrypoint: str = "pyxdp", check: bool = True
    ) -> subprocess.CompletedProcess[str]:
        """Run something else with the rights of the agent."""
        (container,) = self.manifest["containers"]
        options = ["--rm", "--entrypoint", entrypoint, *self._options(container)]
        return self.podman.run("run", *options, TAG, *arguments, check=check)

    @contextmanager
    def agent(self, *volumes: str, arguments: Sequence[str]) -> Iterator[str]:
        """Run the agent; yields the name of its container, which is gone at the end."""
        (container,) = self.manifest["containers"]
        name = f"pyxdp-{secrets.token_hex(4)}"
        mounted = [option for volume in volumes for option in ("--volume", volume)]
        self.podman.run("run", "--detach", "--name", name, *self._options(container), *mounted, TAG, *arguments)
        try:
            yield name
        finally:
            self.podman.run("rm", "--force", "--time", "10", name)

    def _options(self, container: Any) -> list[str]:
        security = container["securityContext"]
        assert security["readOnlyRootFilesystem"]
        assert not security["allowPrivilegeEscalation"]
        assert security["capabilities"]["drop"] == ["ALL"]
        options = ["--read-only", "--read-only-tmpfs=false", "--cap-drop", "all"]
        options += ["--cap-add", ",".join(security["capabilities"]["add"])]
        options += ["--security-opt", "no-new-privileges", "--security-opt", f"seccomp={ROOT / 'deploy/seccomp.json'}"]
        options += ["--net", f"ns:{self.space.path}", "--ulimit", "nofile=4096:4096", "--ulimit", "nproc=4096:4096"]
        for mount in container["volumeMounts"]:
            options += ["--volume", f"{self.places[mount['name']]}:{mount['mountPath']}"]
        return options
