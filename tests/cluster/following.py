"""A source under test, and a store that holds what it delivers."""

from __future__ import annotations

from contextlib import contextmanager
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any

from pyxdp.sources import Delivery, Store
from pyxdp.sources.kubernetes import KubernetesSource, Timing, find_access
from tests.lab.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pyxdp.model import Resources
    from pyxdp.sources.kubernetes import Access
    from tests.cluster.server import Cluster

#: Short enough for tests. None of them fails when an answer takes longer on a busy machine: then it is asked for again.
QUICK = Timing(answer=5.0, heartbeat=0.5, watch=60.0, relook=0.3, first=0.05, most=0.4, status=0.05, page=100)
NODE = "node-1"


class Follower:
    """What a source has said so far."""

    def __init__(self, source: KubernetesSource) -> None:
        self.source = source
        self.queue: SimpleQueue[Delivery] = SimpleQueue()
        self.deliveries: list[Delivery] = []
        self.store = Store()

    @property
    def resources(self) -> Resources:
        return self.store.resources()

    @property
    def last(self) -> Delivery:
        """The delivery that tells how the source stands."""
        return self.deliveries[-1] if self.deliveries else Delivery(source="none", connected=False)

    @property
    def complete(self) -> bool:
        return any(delivery.complete for delivery in self.deliveries)

    def hear(self) -> None:
        """Take what has come."""
        while True:
            try:
                delivery = self.queue.get_nowait()
            except Empty:
                return
            self.deliveries.append(delivery)
            self.store.put(delivery)

    def until(self, predicate: Callable[[Follower], Any], what: str = "") -> Any:
        """Wait until something holds of what was said."""

        def holds() -> Any:
            self.hear()
            return predicate(self)

        return wait_until(holds, what=what)

    def until_names(self, collection: str, names: set[str]) -> None:
        """Wait until the objects of a kind are these."""
        self.until(lambda it: names_of(it.resources, collection) == names, f"{collection}: {names}")


def names_of(resources: Resources, collection: str) -> set[str]:
    """Return the names of all objects of a kind."""
    return {one.metadata.name for one in getattr(resources, collection)}


@contextmanager
def following(cluster: Cluster, token: str, access: Access | None = None, **options: Any) -> Iterator[Follower]:
    """Start a source in the namespace of the cluster, and stop it."""
    access = access or find_access(cluster.kubeconfig(token))
    source = KubernetesSource(access, **{"node": NODE, "timing": QUICK, **options})
    follower = Follower(source)
    with cluster.space.entered():  # where its thread then is
        source.start(follower.queue.put)
    try:
        yield follower
    finally:
        source.stop()
