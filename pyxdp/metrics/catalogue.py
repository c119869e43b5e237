"""Every family of metrics. Names and labels are a promise to dashboards and alerts: only ever added to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

_RULE: Final = ("tier", "kind", "policy", "direction", "action", "identity")
_ENDPOINT: Final = ("interface", "host_endpoint", "direction")


@dataclass(frozen=True, slots=True)
class Family:
    """Metrics of one name.

    Attributes:
        name: with the suffix that its kind asks for.
        kind: as Prometheus has them.
        help: what a value says, with its unit.
        labels: in this order.
    """

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    help: str
    labels: tuple[str, ...] = ()


BUILD: Final = Family("pyxdp_build_info", "gauge", "Always 1; says what runs here.", ("version", "abi", "kernel"))
READABLE: Final = Family("pyxdp_dataplane_readable", "gauge", "1 if what the kernel holds could be read just now.")

APPLIED: Final = Family("pyxdp_policy_applied", "gauge", "1 if a policy is in force.")
GENERATION: Final = Family("pyxdp_policy_generation", "gauge", "Counts policies that came into force; 0 without one.")
SINCE: Final = Family(
    "pyxdp_policy_timestamp_seconds", "gauge", "Unix time at which the policy in force was put into the maps."
)
RULE_PACKETS: Final = Family("pyxdp_rule_packets_total", "counter", "Packets that a rule decided, or logged.", _RULE)
RULE_BYTES: Final = Family(
    "pyxdp_rule_bytes_total", "counter", "Bytes of these: whole frames at XDP, from the IP header on elsewhere.", _RULE
)
RULE_POSITION: Final = Family(
    "pyxdp_rule_position", "gauge", "Where a written rule stands in its policy's list, from 0.", _RULE
)
PASSED: Final = Family(
    "pyxdp_passed_packets_total",
    "counter",
    "Packets that a class of policy let pass, by why; a packet may meet several classes.",
    (*_ENDPOINT, "reason"),
)
DROPPED: Final = Family(
    "pyxdp_dropped_packets_total", "counter", "Packets that were dropped, by why.", (*_ENDPOINT, "reason")
)
UNTRACKED: Final = Family(
    "pyxdp_untracked_packets_total", "counter", "Packets that left connection tracking.", _ENDPOINT
)
STILL_TRACKED: Final = Family(
    "pyxdp_still_tracked_packets_total",
    "counter",
    "Packets that policy wants untracked and that were tracked all the same. That it goes on growing is a fault.",
    _ENDPOINT,
)
LOG_SUPPRESSED: Final = Family(
    "pyxdp_log_events_suppressed_total", "counter", "Log events that the rate limit or a full ring left out.", _ENDPOINT
)
XDP_MODE: Final = Family(
    "pyxdp_xdp_mode", "gauge", "1 for the mode in which XDP runs.", ("interface", "host_endpoint", "mode")
)
EARLY_DROP: Final = Family(
    "pyxdp_early_drop", "gauge", "1 if XDP drops what tracked policy denies for certain already."
)
MAP_USED: Final = Family("pyxdp_map_used_entries", "gauge", "Entries of the policy in force.", ("map",))
MAP_CAPACITY: Final = Family("pyxdp_map_capacity_entries", "gauge", "Entries that one policy may have.", ("map",))
MAP_MEMORY: Final = Family("pyxdp_map_memory_bytes", "gauge", "Kernel memory of a map.", ("map",))
CONNTRACK_ENTRIES: Final = Family("pyxdp_conntrack_entries", "gauge", "Connections that this network namespace tracks.")
CONNTRACK_LIMIT: Final = Family(
    "pyxdp_conntrack_limit", "gauge", "How many it may track; beyond it the kernel drops what is new. +Inf: no limit."
)

STARTED: Final = Family("pyxdp_agent_start_timestamp_seconds", "gauge", "Unix time at which the agent started.")
SYNCED: Final = Family(
    "pyxdp_agent_synced", "gauge", "1 if every source has said everything once, or a snapshot was restored."
)
ENFORCING: Final = Family(
    "pyxdp_agent_enforcing", "gauge", "1 if the policy in force is what the sources say, or its last good version."
)
DEGRADED: Final = Family("pyxdp_agent_degraded", "gauge", "Number of things that are not as they should be.")
PROBLEMS: Final = Family("pyxdp_agent_problems", "gauge", "Number of objects that are wrong or can not be enforced.")
APPLIES: Final = Family("pyxdp_agent_applies_total", "counter", "Changes that were handled.", ("kind",))
FAILURES: Final = Family("pyxdp_agent_apply_failures_total", "counter", "Changes that failed.", ("error",))
REPAIRS: Final = Family(
    "pyxdp_agent_repairs_total", "counter", "What others had changed, found and repaired.", ("what",)
)
APPLY_SECONDS: Final = Family(
    "pyxdp_agent_apply_seconds", "histogram", "From the first event of a change to its enforcement."
)
SOURCE_CONNECTED: Final = Family(
    "pyxdp_source_connected", "gauge", "1 if a source sees what it is to watch.", ("source",)
)
SOURCE_TEXTS: Final = Family(
    "pyxdp_source_texts", "gauge", "Files or objects that a source has said something about.", ("source",)
)

DATAPLANE: Final = (
    APPLIED,
    GENERATION,
    SINCE,
    RULE_PACKETS,
    RULE_BYTES,
    RULE_POSITION,
    PASSED,
    DROPPED,
    UNTRACKED,
    STILL_TRACKED,
    LOG_SUPPRESSED,
    XDP_MODE,
    EARLY_DROP,
    MAP_USED,
    MAP_CAPACITY,
    MAP_MEMORY,
    CONNTRACK_ENTRIES,
    CONNTRACK_LIMIT,
)
AGENT: Final = (
    STARTED,
    SYNCED,
    ENFORCING,
    DEGRADED,
    PROBLEMS,
    APPLIES,
    FAILURES,
    REPAIRS,
    APPLY_SECONDS,
    SOURCE_CONNECTED,
    SOURCE_TEXTS,
)
#: All there are, in the order in which they are told.
CATALOGUE: Final = (BUILD, READABLE, *DATAPLANE, *AGENT)
