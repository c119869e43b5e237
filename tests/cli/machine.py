"""A machine on which the real command runs."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pyxdp.dataplane import Dataplane
from tests.cli.inside import Done, run_inside

if TYPE_CHECKING:
    from tests.lab.network import Interface

PYXDP = str(Path(sys.executable).with_name("pyxdp"))
NODE = "host"
#: Commands that read or change what is in the kernel.
_WITH_BPFFS = {"apply", "restore", "status", "rules", "delete", "log"}


@dataclass
class Machine:
    """One end of a veth pair is the governed host; its peer sends.

    Attributes:
        end: interface of the host.
        peer: the other end.
        bpffs: folder of the host's pins.
        folder: where the command runs.
    """

    end: Interface
    peer: Interface
    bpffs: Path
    folder: Path

    def arguments(self, *arguments: str) -> list[str]:
        """The command line, with the bpffs where the command has one."""
        place = ["--bpffs", str(self.bpffs)] if arguments[0] in _WITH_BPFFS else []
        return [PYXDP, *arguments, *place]

    def run(self, *arguments: str, stdin: str = "", before: str = "", env: dict[str, str] | None = None) -> Done:
        """Run the command in this process.

        Unless there is a ``before``: a shell command that comes first, in a process and a mount namespace of their own.
        """
        command = self.arguments(*arguments)
        if not before:
            with self.end.namespace.entered():
                return run_inside(self.folder, *command[1:], stdin=stdin, env=env)
        command = ["unshare", "-m", "sh", "-ec", f'{before}\nexec "$@"', "sh", *command]
        return self.end.namespace.run(
            *command, check=False, input=stdin, cwd=self.folder, env={**os.environ, **(env or {})}, timeout=120
        )

    def start(self, *arguments: str, **options: Any) -> subprocess.Popen[str]:
        """Start the command; whoever starts it ends it."""
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | options
        if "env" in pipes:  # perhaps made before the test began
            pipes["env"] = {**pipes["env"], "PYXDP_STATE": os.environ["PYXDP_STATE"]}
        # Whatever started the tests may have SIGINT ignored, as shells do for what runs in the background.
        before = signal.signal(signal.SIGINT, signal.default_int_handler)
        try:
            return self.end.namespace.popen(*self.arguments(*arguments), cwd=self.folder, **pipes)
        finally:
            signal.signal(signal.SIGINT, before)

    def json(self, *arguments: str) -> Any:
        """What the command prints with --json; it must succeed."""
        done = self.run(*arguments, "--json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def write(self, name: str, text: str) -> str:
        """Write a file beside the command; return its name."""
        (self.folder / name).write_text(text)
        return name

    def traces(self) -> dict[str, Any]:
        """Everything that the command could have changed, but for counters."""
        tools = [f"{tool}-{variant}-save" for tool in ("iptables", "ip6tables") for variant in ("nft", "legacy")]
        rules = [line for tool in tools for line in self.end.namespace.run(tool).stdout.splitlines() if "PYXDP" in line]
        pins = sorted(str(path.relative_to(self.bpffs)) for path in self.bpffs.rglob("*"))
        with self.end.namespace.entered():
            status = Dataplane(self.bpffs).status()
        policy = (status.generation, status.digest, [rule.identity for rule in status.rules])
        return {
            "rules": rules,
            "pins": pins,
            "net": self.end.namespace.attached_xdp(),
            "policy": policy,
        }


def endpoint(interface: str, *, node: str = NODE, name: str = "hep") -> str:
    return f"""
---
apiVersion: projectcalico.org/v3
kind: HostEndpoint
metadata: {{name: {name}, labels: {{role: {name}}}}}
spec: {{node: {node}, interfaceName: "{interface}", profiles: [projectcalico-default-allow]}}
"""


def policy(
    name: str = "redis",
    *,
    ingress: list[dict[str, Any]] | None = None,
    egress: list[dict[str, Any]] | None = None,
    **spec: Any,
) -> str:
    """A doNotTrack policy for every host endpoint that allows Redis, unless it says something else."""
    port = {"ports": [6379]}
    document = {
        "apiVersion": "projectcalico.org/v3",
        "kind": "GlobalNetworkPolicy",
        "metadata": {"name": name},
        "spec": {
            "selector": "all()",
            "doNotTrack": True,
            "applyOnForward": True,
            "types": ["Ingress", "Egress"],
            "ingress": [{"action": "Allow", "protocol": "TCP", "destination": port}] if ingress is None else ingress,
            "egress": [{"action": "Allow", "protocol": "TCP", "source": port}] if egress is None else egress,
            **spec,
        },
    }
    return f"\n---\n{json.dumps(document)}\n"
