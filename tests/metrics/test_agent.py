"""What the agent says of itself, and whether it is alive and the node protected. Nothing here needs a kernel."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, cast

import pytest
from prometheus_client.exposition import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from pyxdp.agent import AgentView, SourceView
from pyxdp.dataplane import ConntrackUse, Status
from pyxdp.metrics import Metrics, Pulse, listen_address, not_ready
from pyxdp.metrics.latency import Buckets
from tests.metrics.scraping import Samples

if TYPE_CHECKING:
    from pyxdp.dataplane import Dataplane

FOLDER = SourceView(connected=True, texts=3, synced=True)
CUT_OFF = SourceView(trouble="connection refused")
VIEW = AgentView(
    node="host",
    started_ns=1_700_000_000_500_000_000,
    synced=True,
    enforcing=True,
    generation=7,
    degraded=("source cluster is cut off: connection refused",),
    applies={"full": 2, "nothing": 40},
    failures={"CapacityError": 1},
    repairs={"rules": 3},
    seconds=(0.04, 0.3),
    changes=2,
    sources={"folder": FOLDER, "cluster": CUT_OFF},
)


class NoPolicy:
    """Stands for a machine without policy: the agent's metrics are told without a kernel."""

    def __init__(self, found: Status | None = None) -> None:
        self._found = found or Status()

    def status(self, *, drift: bool) -> Status:
        assert not drift
        return self._found


def scraped(metrics: Metrics) -> Samples:
    return Samples(text_string_to_metric_families(generate_latest(metrics).decode()))  # type: ignore[arg-type]


def metrics_of(*views: AgentView) -> Metrics:
    """Metrics that see one view after the other, a scrape each."""
    left = list(views)
    return Metrics(cast("Dataplane", NoPolicy()), lambda: left.pop(0))


def test_an_agent() -> None:
    found = scraped(metrics_of(VIEW))
    assert found.value("pyxdp_agent_start_timestamp_seconds") == 1_700_000_000.5
    assert (found.value("pyxdp_agent_synced"), found.value("pyxdp_agent_enforcing")) == (1, 1)
    assert (found.value("pyxdp_agent_degraded"), found.value("pyxdp_agent_problems")) == (1, 0)
    kinds = {kind: found.value("pyxdp_agent_applies_total", kind=kind) for kind in ("full", "members", "nothing")}
    assert kinds == {"full": 2, "members": 0, "nothing": 40}
    assert found.value("pyxdp_agent_apply_failures_total", error="CapacityError") == 1
    assert found.value("pyxdp_agent_repairs_total", what="rules") == 3
    assert found.value("pyxdp_agent_repairs_total", what="link") == 0
    assert [found.value("pyxdp_source_connected", source=name) for name in ("folder", "cluster")] == [1, 0]
    assert found.value("pyxdp_source_texts", source="folder") == 3


def test_without_an_agent() -> None:
    found = scraped(Metrics(cast("Dataplane", NoPolicy())))
    assert {name for name in found.names if name.startswith(("pyxdp_agent", "pyxdp_source"))} == set()


def test_conntrack_without_a_limit_is_never_nearly_full() -> None:
    """The kernel's 0 means that there is none; a ratio to 0 would be an alert for ever."""
    found = scraped(Metrics(cast("Dataplane", NoPolicy(Status(conntrack=ConntrackUse(12, 0))))))
    assert found.value("pyxdp_conntrack_entries") / found.value("pyxdp_conntrack_limit") == 0


def test_times_are_counted_once() -> None:
    metrics = metrics_of(VIEW, VIEW, replace(VIEW, seconds=(0.04, 0.3, 0.3), changes=3))
    for total, below in ((2, 1), (2, 1), (3, 1)):
        found = scraped(metrics)
        assert found.value("pyxdp_agent_apply_seconds_count") == total
        assert found.value("pyxdp_agent_apply_seconds_bucket", le="0.05") == below
        assert found.value("pyxdp_agent_apply_seconds_bucket", le="+Inf") == total
    assert found.value("pyxdp_agent_apply_seconds_sum") == pytest.approx(0.64)


def test_a_bound_belongs_to_its_bucket() -> None:
    buckets = Buckets()
    buckets.take([0.2, 0.2001], 2)
    assert {bound: count for bound, count in buckets.cumulative() if bound in (0.1, 0.2, 0.5)} == {
        0.1: 0,
        0.2: 1,
        0.5: 2,
    }


def test_more_times_than_the_window_holds() -> None:
    """What was never seen is lost, and what comes next is counted as ever."""
    buckets = Buckets()
    buckets.take([1.0] * 10, 10)
    buckets.take([2.0] * 10, 100)
    assert dict(buckets.cumulative())[float("inf")] == 20
    buckets.take([2.0] * 9 + [3.0], 101)
    assert dict(buckets.cumulative())[float("inf")] == 21
    assert buckets.sum == 33.0


def test_ready() -> None:
    assert not_ready(VIEW) == ()
    assert not_ready(None) == ("the agent is starting",)
    waiting = AgentView(node="host", started_ns=0, sources={"folder": FOLDER, "cluster": CUT_OFF}, enforcing=True)
    assert not_ready(waiting) == ("sources have not said everything yet: cluster",)
    failed = AgentView(node="host", started_ns=0, synced=True, degraded=("the last apply failed: no bpffs",))
    assert not_ready(failed) == ("the policy of the sources is not in force", "the last apply failed: no bpffs")


def test_a_pulse() -> None:
    now = 100.0
    pulse = Pulse(patience=60, clock=lambda: now)
    now = 160.0
    assert pulse.reasons() == ()
    now = 161.0
    assert pulse.reasons() == ("the agent has been stuck for 61 seconds",)
    pulse.beat()
    assert pulse.reasons() == ()


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:9469", ("127.0.0.1", 9469)),
        ("localhost:0", ("localhost", 0)),
        ("[::1]:9469", ("::1", 9469)),
    ],
)
def test_addresses(text: str, address: tuple[str, int]) -> None:
    assert listen_address(text) == address


@pytest.mark.parametrize(
    "text", ["", "9469", ":9469", "::1:9469", "127.0.0.1", "127.0.0.1:x", "127.0.0.1:65536", "[a:1"]
)
def test_no_addresses(text: str) -> None:
    with pytest.raises(ValueError, match="is no address to listen at: write HOST:PORT"):
        listen_address(text)
