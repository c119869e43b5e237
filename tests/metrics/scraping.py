"""A metrics server of a host, and what it answers."""

from __future__ import annotations

from collections import Counter
from http.client import HTTPConnection
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

from prometheus_client.parser import text_string_to_metric_families

from pyxdp.metrics import Metrics, MetricsServer

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Self

    from prometheus_client.metrics_core import Metric

    from pyxdp.agent import AgentView
    from tests.lab.network import Namespace
    from tests.veth.host import Host


class Answer(NamedTuple):
    """What came over HTTP."""

    status: int
    kind: str
    body: str


def get(
    space: Namespace,
    address: tuple[str, int],
    path: str,
    method: str = "GET",
    headers: Mapping[str, str] = MappingProxyType({}),
) -> Answer:
    """Ask a server from its own network namespace."""
    with space.entered():
        connection = HTTPConnection(*address, timeout=60)
        try:
            connection.request(method, path, headers=headers)
            response = connection.getresponse()
            body = response.read().decode()
        finally:
            connection.close()
    return Answer(response.status, response.headers["Content-Type"], body)


class Samples:
    """A scrape as Prometheus reads it: every line that is not valid is an error of the parser's."""

    def __init__(self, families: Iterable[Metric]) -> None:
        self._samples = [sample for family in families for sample in family.samples]

    @property
    def names(self) -> set[str]:
        """Names of samples."""
        return {it.name for it in self._samples}

    def value(self, name: str, **labels: str) -> float:
        """The value of the one sample that has these labels, maybe among others."""
        (found,) = self.all(name, **labels)
        return found

    def total(self, name: str, **labels: str) -> float:
        """The sum of those that have these labels."""
        return sum(self.all(name, **labels))

    def all(self, name: str, **labels: str) -> list[float]:
        """The values of those that have these labels."""
        return [it.value for it in self._samples if it.name == name and labels.items() <= it.labels.items()]

    def labels(self, name: str) -> list[dict[str, str]]:
        """The labels of all samples of a name."""
        return [dict(it.labels) for it in self._samples if it.name == name]

    def repeated(self) -> list[tuple[str, frozenset[tuple[str, str]]]]:
        """What Prometheus would refuse: samples that are there more than once."""
        counted = Counter((it.name, frozenset(it.labels.items())) for it in self._samples)
        return [key for key, count in counted.items() if count > 1]


class Scraped:
    """A server in the namespace of a host, on a port of its own.

    Attributes:
        view: what the agent says; a test sets it.
        unhealthy: why the process should be restarted; likewise.
    """

    def __init__(self, host: Host) -> None:
        self._host = host
        self.view: AgentView | None = None
        self.unhealthy: tuple[str, ...] = ()
        metrics = Metrics(host.dataplane(), lambda: self.view)
        self.server = MetricsServer(("127.0.0.1", 0), metrics, lambda: self.unhealthy)

    def __enter__(self) -> Self:
        with self._host.space.entered():
            self.server.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.server.stop()

    def get(self, path: str, method: str = "GET", **headers: str) -> Answer:
        """Ask."""
        return get(self._host.space, self.server.address, path, method, headers)

    def samples(self) -> Samples:
        """Scrape."""
        answer = self.get("/metrics")
        assert answer.status == 200
        return Samples(text_string_to_metric_families(answer.body))
