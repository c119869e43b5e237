"""Real traffic, then a scrape: what Prometheus is told is what the kernel counted."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics

from pyxdp.errors import OperatorError
from pyxdp.metrics import Metrics, MetricsServer
from tests.metrics.scraping import Samples
from tests.veth.classes import pre_dnat
from tests.veth.host import endpoint, open_endpoint, service, untracked

if TYPE_CHECKING:
    from tests.metrics.scraping import Scraped
    from tests.veth.host import Host

REDIS = {"action": "Allow", "protocol": "TCP", "destination": {"ports": [6379]}}
REPLY = {"action": "Allow", "protocol": "TCP", "source": {"ports": [6379]}}
OTHER = {"action": "Deny", "protocol": "TCP", "destination": {"ports": [7000]}}


def silence(host: Host) -> None:
    """Let nothing be counted any more, as the end of a connection that is on its way."""
    host.space.run("ip", "link", "set", host.end.name, "down")


def test_packets_and_bytes_of_each_rule(host: Host, scraped: Scraped) -> None:
    host.apply(open_endpoint(host.end.name) + untracked("redis", ingress=[REDIS, OTHER], egress=[REPLY]))
    assert host.can_talk("tcp", 6379)
    assert host.is_silent("tcp", 7000)
    silence(host)
    told = {it.identity: it for it in host.status().rules}
    found = scraped.samples()
    assert found.repeated() == []
    for labels in found.labels("pyxdp_rule_packets_total"):
        rule = told[labels["identity"]]
        assert labels == {
            "tier": rule.tier,
            "kind": rule.kind,
            "policy": rule.policy,
            "direction": rule.direction,
            "action": rule.action,
            "identity": rule.identity,
        }
        assert found.value("pyxdp_rule_packets_total", **labels) == rule.packets
        assert found.value("pyxdp_rule_bytes_total", **labels) == rule.bytes
    written = {"tier": "default", "policy": "redis", "direction": "ingress"}
    assert found.value("pyxdp_rule_packets_total", **written, action="Allow") > 3
    assert found.value("pyxdp_rule_packets_total", **written, action="Deny") > 0
    assert found.value("pyxdp_rule_position", **written, action="Deny") == 1


def test_rules_that_nobody_wrote_are_told_of_when_they_have_counted(host: Host, scraped: Scraped) -> None:
    host.apply(endpoint(host.end.name) + service(6379))
    assert scraped.samples().labels("pyxdp_rule_packets_total")
    kinds = {labels["kind"] for labels in scraped.samples().labels("pyxdp_rule_packets_total")}
    assert kinds == {"GlobalNetworkPolicy"}
    assert host.is_silent("tcp", 8080)
    found = scraped.samples()
    assert found.value("pyxdp_rule_packets_total", kind="HostEndpoint", action="Deny", direction="ingress") > 0
    assert found.labels("pyxdp_rule_position") == [
        labels for labels in found.labels("pyxdp_rule_packets_total") if labels["kind"] == "GlobalNetworkPolicy"
    ]


def test_a_rule_stays_the_same_series_when_others_are_written_in_front_of_it(host: Host, scraped: Scraped) -> None:
    host.apply(open_endpoint(host.end.name) + untracked("redis", ingress=[REDIS], egress=[REPLY]))
    assert host.can_talk("tcp", 6379)
    first = scraped.samples()
    (labels,) = (
        labels
        for labels in first.labels("pyxdp_rule_packets_total")
        if (labels["policy"], labels["direction"]) == ("redis", "ingress")
    )
    before = first.value("pyxdp_rule_packets_total", **labels)
    host.apply(open_endpoint(host.end.name) + untracked("redis", ingress=[OTHER, REDIS], egress=[REPLY]))
    assert host.can_talk("tcp", 6379)
    found = scraped.samples()
    assert found.value("pyxdp_rule_packets_total", **labels) > before
    assert found.value("pyxdp_rule_position", **labels) == 1


def test_endpoints(host: Host, scraped: Scraped) -> None:
    host.apply(open_endpoint(host.end.name) + untracked("redis", ingress=[REDIS, OTHER], egress=[REPLY]))
    assert host.can_talk("tcp", 6379)
    assert host.is_silent("tcp", 7000)
    silence(host)
    found = scraped.samples()
    ingress = {"interface": host.end.name, "host_endpoint": "hep", "direction": "ingress"}
    assert found.value("pyxdp_dropped_packets_total", **ingress, reason="policy") == host.reason("DROP_POLICY")
    assert found.value("pyxdp_passed_packets_total", **ingress, reason="allowed") == host.reason("PASS_ALLOWED")
    for direction in ("ingress", "egress"):
        here = ingress | {"direction": direction}
        assert found.value("pyxdp_untracked_packets_total", **here) == host.reason("UNTRACKED", direction) > 0
        assert found.value("pyxdp_still_tracked_packets_total", **here) == 0
        assert found.value("pyxdp_log_events_suppressed_total", **here) == 0
    here = {"interface": host.end.name, "host_endpoint": "hep"}
    modes = {mode: found.value("pyxdp_xdp_mode", **here, mode=mode) for mode in ("native", "generic", "none")}
    assert modes == {"native": 1, "generic": 0, "none": 0}


def test_patterns_of_workload_interfaces_have_no_mode(host: Host, scraped: Scraped) -> None:
    """They have rules only, and an alert for interfaces that are not native must not speak of them."""
    host.apply(open_endpoint("*") + pre_dnat("pre", [OTHER]))
    assert "cali+" in {it.attachment.interface for it in host.status().endpoints}
    found = scraped.samples()
    assert {labels["interface"] for labels in found.labels("pyxdp_xdp_mode")} == {host.end.name}
    assert found.labels("pyxdp_still_tracked_packets_total")


def test_a_bypass_that_fails_is_seen(host: Host, scraped: Scraped) -> None:
    host.track_everything()
    host.apply(open_endpoint(host.end.name) + service(6379))
    for chain in ("PREROUTING", "OUTPUT"):
        host.space.run("iptables", "-t", "raw", "-I", chain, "-j", "ACCEPT")
    assert host.can_talk("tcp", 6379)
    found = scraped.samples()
    assert found.value("pyxdp_still_tracked_packets_total", direction="ingress") > 3
    assert found.value("pyxdp_still_tracked_packets_total", direction="egress") > 1
    assert found.value("pyxdp_conntrack_entries") > 0


def test_conntrack_of_this_namespace(host: Host, scraped: Scraped) -> None:
    host.track_everything()
    before = scraped.samples().value("pyxdp_conntrack_entries")
    with host.space.entered(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for port in range(1000, 1500):
            sender.sendto(b"", (host.peer.ipv4, port))
    found = scraped.samples()
    assert found.value("pyxdp_conntrack_entries") == before + 501  # this scrape is a connection, too
    assert found.value("pyxdp_conntrack_limit") > 1000


def test_the_policy_and_its_maps(host: Host, scraped: Scraped) -> None:
    host.apply(open_endpoint(host.end.name))
    few = scraped.samples()
    host.apply(open_endpoint(host.end.name) + "".join(service(port) for port in range(6000, 6050)))
    many, status = scraped.samples(), host.status()
    assert (few.value("pyxdp_policy_generation"), many.value("pyxdp_policy_generation")) == (1, 2)
    assert many.value("pyxdp_policy_timestamp_seconds") == pytest.approx(status.applied_ns / 1e9)
    assert many.value("pyxdp_early_drop") == status.early_drop.on
    for name in status.maps:
        assert 0 <= many.value("pyxdp_map_used_entries", map=name) <= many.value("pyxdp_map_capacity_entries", map=name)
    used = [samples.value("pyxdp_map_used_entries", map="rules") for samples in (few, many)]
    assert used[1] >= used[0] + 200
    assert many.value("pyxdp_map_capacity_entries", map="rules") >= 1024
    assert many.value("pyxdp_map_memory_bytes", map="counters") == status.memory["counters"]


def test_without_policy(host: Host, scraped: Scraped) -> None:
    found = scraped.samples()
    assert found.value("pyxdp_dataplane_readable") == 1
    assert (found.value("pyxdp_policy_applied"), found.value("pyxdp_policy_generation")) == (0, 0)
    assert found.labels("pyxdp_rule_packets_total") == []
    assert found.labels("pyxdp_build_info")[0].keys() == {"version", "abi", "kernel"}


def test_what_can_not_be_read_is_said(host: Host, scraped: Scraped, caplog: pytest.LogCaptureFixture) -> None:
    host.apply(open_endpoint(host.end.name))
    (host.bpffs / "pyxdp/v1/objects/1/maps/names").unlink()
    for _ in range(2):
        found = scraped.samples()
        assert found.value("pyxdp_dataplane_readable") == 0
        assert "pyxdp_policy_applied" not in found.names
    (told,) = (it.getMessage() for it in caplog.records)
    assert "the dataplane can not be read" in told


def test_both_formats_hold_the_same(host: Host, scraped: Scraped) -> None:
    host.apply(open_endpoint(host.end.name) + service(6379))
    silence(host)
    plain = scraped.get("/metrics")
    assert plain.kind.startswith("text/plain; version=")
    other = scraped.get("/metrics", Accept="application/openmetrics-text; version=1.0.0")
    assert other.kind.startswith("application/openmetrics-text")
    strange = scraped.get("/metrics", Accept="application/openmetrics-text; version=x")
    assert (strange.status, strange.kind) == (200, plain.kind)
    found = Samples(openmetrics(other.body))
    assert found.names == scraped.samples().names
    assert found.value("pyxdp_policy_generation") == 1


def test_an_address_that_is_taken(host: Host, scraped: Scraped) -> None:
    second = MetricsServer(scraped.server.address, Metrics(host.dataplane()))
    with (
        host.space.entered(),
        pytest.raises(OperatorError, match=r"can not listen at 127\.0\.0\.1:\d+: Address already"),
    ):
        second.start()
    second.stop()
    first = scraped.server.address
    scraped.server.stop()
    with host.space.entered():
        second.start()
    assert second.address == first
    second.stop()
    second.stop()
