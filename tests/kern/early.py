"""Both objects on the maps of one, with a policy for which early drop matters."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from pyxdp.bpf import Object
from pyxdp.dataplane.trial import DEFAULT_CAPACITIES, Trial
from tests.kern.conftest import POLICY, Bench
from tests.lab.network import namespace

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyxdp.dataplane.code import Code

#: Pre-DNAT policy denies it, with a Log rule before.
BEFORE_DNAT: Final = 4000
#: Normal policy allows it; and denies everything that is not said otherwise here.
OPEN: Final = 80
#: Normal policy denies it, with a Log rule before.
LOGGED: Final = 5000

HOST_POLICY: Final = (
    POLICY
    + f"""
---
apiVersion: projectcalico.org/v3
kind: GlobalNetworkPolicy
metadata: {{name: before}}
spec:
  selector: has(hep)
  preDNAT: true
  applyOnForward: true
  ingress:
    - {{action: Log, protocol: TCP, destination: {{ports: [{BEFORE_DNAT}, {LOGGED}]}}}}
    - {{action: Deny, protocol: TCP, destination: {{ports: [{BEFORE_DNAT}]}}}}
---
apiVersion: projectcalico.org/v3
kind: GlobalNetworkPolicy
metadata: {{name: host}}
spec:
  selector: has(hep)
  ingress:
    - {{action: Log, protocol: TCP, destination: {{ports: [{LOGGED}]}}}}
    - {{action: Deny, protocol: TCP, destination: {{ports: [{LOGGED}]}}}}
    - {{action: Allow, protocol: TCP, destination: {{ports: [{OPEN}]}}}}
    - {{action: Allow, protocol: UDP, destination: {{ports: [{OPEN}]}}}}
"""
)


def load_conntrack() -> None:
    """Let the kernel load connection tracking, if it is a module: as rules do before early drop is asked for."""
    with namespace() as space:
        for iptables in ("iptables-nft", "ip6tables-nft"):
            space.run(iptables, "-A", "INPUT", "-m", "conntrack", "--ctstate", "NEW")


@contextmanager
def with_early(code: Code) -> Iterator[Bench]:
    """Load both objects; XDP of the main one finds the program of the other."""
    load_conntrack()
    with Trial(code.data) as trial, Object.open(code.early, name="pyxdp_early") as early:
        for name, its_map in early.maps.items():
            if name in trial.object.maps and name.startswith("pyxdp_"):
                its_map.reuse(trial.object.maps[name])
        for name, entries in DEFAULT_CAPACITIES.items():
            early.rodata[f"pyxdp_half_{name}"] = entries
        program = early.load().programs["pyxdp_early_drop"]
        trial.object.maps["pyxdp_early"].put(0, program)
        yield Bench(trial)
