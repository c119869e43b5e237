"""An agent that follows the API server, in a thread of the test."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from pyxdp.sources.kubernetes import KubernetesSource, find_access
from tests.agent.running import running
from tests.cluster.following import QUICK
from tests.veth.host import NODE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pyxdp.sources import Deliver
    from tests.agent.running import Running
    from tests.cluster.server import Cluster
    from tests.lab.network import Namespace
    from tests.veth.host import Host


class _Elsewhere(KubernetesSource):
    """A source whose thread is in the namespace of the API server, while its agent is in another."""

    def __init__(self, space: Namespace, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._space = space

    def start(self, deliver: Deliver) -> None:
        with self._space.entered():
            super().start(deliver)


@contextmanager
def following_api(  # noqa: PLR0913 - fixtures, and options by their names
    host: Host, folder: Path, cluster: Cluster, token: str, *, node: str = NODE, auto_host_endpoints: bool = False
) -> Iterator[Running]:
    """Run an agent in the namespace of a host; its source is the API server, and it writes its status there."""
    access = find_access(cluster.kubeconfig(token))
    source = _Elsewhere(cluster.space, access, node=node, timing=QUICK, auto_host_endpoints=auto_host_endpoints)
    with running(host, folder, source, node=node, drift_every=2.0) as found:
        yield found
