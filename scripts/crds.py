#!/usr/bin/env python3
"""Write ``deploy/crds.yaml``: Calico's kinds as CRDs, with as much of their rules as a structural schema can say.

Usage: ``.venv/bin/python scripts/crds.py``

And ``deploy/crd-status.yaml``, for clusters that have Calico's kinds already, but no status of host endpoints.

The rules are those of the resource reference (sections 1.1 to 1.11 of the specification) and of :mod:`pyxdp.manifest`,
which has the last word: what a schema can not say (selectors, families of prefixes, ports and protocols), the agent
reports as a problem of the object. The schemas need no CEL, so that Kubernetes takes them from 1.16 on. Whatever
is refused here is refused there, too; a test holds that.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeAlias

import yaml

Schema: TypeAlias = "dict[str, Any]"

ROOT = Path(__file__).resolve().parent.parent
HEAD = "# Written by scripts/crds.py.\n"

LABEL = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?"
MAX_RULES, MAX_NETS, MAX_PORTS, MAX_SELECTOR, MAX_PORT, MAX_NAME = 1024, 256, 50, 1024, 65535, 253


def text(**rules: object) -> Schema:
    """Return the schema of text."""
    return {"type": "string", **rules}


def number(low: int, high: int) -> Schema:
    """Return the schema of a whole number."""
    return {"type": "integer", "minimum": low, "maximum": high}


def array(items: Schema, **rules: object) -> Schema:
    """Return the schema of a list."""
    return {"type": "array", "items": items, **rules}


def unique(items: Schema, **rules: object) -> Schema:
    """Return the schema of a list without repeats."""
    return array(items, **rules) | {"x-kubernetes-list-type": "set"}


def mapping(properties: Schema, **rules: object) -> Schema:
    """Return the schema of an object."""
    return {"type": "object", "properties": properties, **rules}


def both(*rules: Schema) -> Schema:
    """Return the rule that all rules hold."""
    return {"allOf": list(rules)}


def unless(condition: Schema, rule: Schema) -> Schema:
    """Return the rule that a rule holds, or else the condition does not."""
    return {"anyOf": [{"not": condition}, rule]}


def given(*names: str) -> Schema:
    """Return the condition that fields are there."""
    return {"required": list(names)}


def true(name: str) -> Schema:
    """Return the condition that a field is there and true."""
    return {**given(name), "properties": {name: {"enum": [True]}}}


NAME = text(pattern=rf"^{LABEL}(\.{LABEL})*$", maxLength=MAX_NAME)
POLICY_NAME = text(pattern=rf"^{LABEL}(\.{LABEL})?$", maxLength=MAX_NAME)
NAMESPACED_POLICY_NAME = text(
    pattern=rf"^({LABEL}(\.{LABEL})?|(knp|ossg)\.default\.{LABEL}(\.{LABEL})*)$", maxLength=MAX_NAME
)
TIER_NAME = text(pattern=f"^{LABEL}$", maxLength=63)
SELECTOR = text(maxLength=MAX_SELECTOR)
LABELS: Schema = {"type": "object", "additionalProperties": text(maxLength=63)}
ADDRESS = text(pattern="^[0-9a-fA-F:.]+$")
NET = text(pattern="^[0-9a-fA-F:.]+/[0-9]{1,3}$")
CIDR = text(pattern="^[0-9a-fA-F:.]+(/[0-9]{1,3})?$")
DIRECTION = text(enum=["Ingress", "Egress"])
PROTOCOL_NAMES = "TCP|UDP|ICMP|ICMPv6|SCTP|UDPLite"
# Rules of numbers hold for numbers alone, patterns for text alone.
PROTOCOL: Schema = {
    "x-kubernetes-int-or-string": True,
    "minimum": 1,
    "maximum": 255,
    "pattern": f"^({PROTOCOL_NAMES}|[1-9][0-9]{{0,2}})$",
}
WITH_PORTS: Schema = {
    "x-kubernetes-int-or-string": True,
    "enum": [6, 17, 132, "TCP", "UDP", "SCTP", "6", "17", "132"],
}
PORT: Schema = {
    "x-kubernetes-int-or-string": True,
    "minimum": 1,
    "maximum": MAX_PORT,
    "pattern": "^[a-zA-Z0-9_.:-]{1,128}$",
}
ICMP = mapping({"type": number(0, 254), "code": number(0, 255)}, **unless(given("code"), given("type")))
SERVICE = mapping({"name": text(minLength=1), "namespace": text()}, required=["name"])
SERVICE_ALONE = ("selector", "notSelector", "namespaceSelector", "serviceAccounts", "nets", "notNets")

ENTITY = mapping(
    {
        "nets": array(NET, maxItems=MAX_NETS),
        "notNets": array(NET, maxItems=MAX_NETS),
        "selector": SELECTOR,
        "notSelector": SELECTOR,
        "namespaceSelector": SELECTOR,
        "ports": array(PORT, maxItems=MAX_PORTS),
        "notPorts": array(PORT, maxItems=MAX_PORTS),
        "serviceAccounts": mapping({"names": array(text()), "selector": SELECTOR}),
        "services": SERVICE,
    },
    **unless(given("services"), {"not": {"anyOf": [given(name) for name in SERVICE_ALONE]}}),
)
HTTP = mapping(
    {
        "methods": array(text(), maxItems=20),
        "paths": array(mapping({"exact": text(maxLength=1024), "prefix": text(maxLength=1024)}), maxItems=20),
    }
)
RULE = mapping(
    {
        "action": text(enum=["Allow", "Deny", "Log", "Pass"]),
        "ipVersion": {"type": "integer", "enum": [4, 6]},
        "protocol": PROTOCOL,
        "notProtocol": PROTOCOL,
        "icmp": ICMP,
        "notICMP": ICMP,
        "source": ENTITY,
        "destination": ENTITY,
        "http": HTTP,
        "metadata": mapping({"annotations": {"type": "object", "additionalProperties": text()}}),
    },
    required=["action"],
    **both(
        unless(given("icmp"), given("protocol")),
        unless(given("http"), {"properties": {"action": {"enum": ["Allow"]}}}),
    ),
)
RULES = array(RULE, maxItems=MAX_RULES)
TYPES = unique(DIRECTION, maxItems=2)

POLICY: Schema = {
    "tier": TIER_NAME,
    "order": {"type": "number", "nullable": True},
    "ingress": RULES,
    "egress": RULES,
    "selector": SELECTOR,
    "types": TYPES,
    "serviceAccountSelector": SELECTOR,
    "performanceHints": unique(text(enum=["AssumeNeededOnEveryNode"])),
}
BOOLEAN: Schema = {"type": "boolean"}
GLOBAL_POLICY: Schema = {
    **POLICY,
    "doNotTrack": BOOLEAN,
    "preDNAT": BOOLEAN,
    "applyOnForward": BOOLEAN,
    "namespaceSelector": SELECTOR,
}
INGRESS_ONLY: Schema = {"properties": {"egress": {"maxItems": 0}, "types": {"items": {"enum": ["Ingress"]}}}}
CLASSES = both(
    {"not": both(true("preDNAT"), true("doNotTrack"))},
    unless(true("preDNAT"), both(true("applyOnForward"), INGRESS_ONLY)),
    unless(true("doNotTrack"), true("applyOnForward")),
)
STAGED = both(
    *CLASSES["allOf"],
    unless(
        {**given("stagedAction"), "properties": {"stagedAction": {"enum": ["Delete"]}}},
        {
            "properties": {
                **{name: {"maxItems": 0} for name in ("ingress", "egress", "types", "performanceHints")},
                **{name: {"maxLength": 0} for name in GLOBAL_POLICY if name.endswith(("selector", "Selector"))},
                **{name: {"enum": [False]} for name, schema in GLOBAL_POLICY.items() if schema is BOOLEAN},
            }
        },
    ),
)

CONDITION = mapping(
    {
        "type": text(),
        "status": text(enum=["True", "False", "Unknown"]),
        "reason": text(),
        "message": text(),
        "lastTransitionTime": text(format="date-time"),
    },
    required=["type", "status"],
)
STATUS = mapping({"conditions": array(CONDITION)})
CONDITIONS = ("Enforcing", "ConntrackBypass", "Degraded")


def column(name: str, path: str) -> Schema:
    """Return a column of kubectl's table."""
    return {"name": name, "type": "string", "jsonPath": path}


STATUS_COLUMNS = [column(name, f'.status.conditions[?(@.type=="{name}")].status') for name in CONDITIONS]

HOST_ENDPOINT = mapping(
    {
        "node": NAME | {"minLength": 1},
        "interfaceName": text(pattern=r"^(\*|[a-zA-Z0-9_.-]{1,15})?$"),
        "expectedIPs": unique(ADDRESS),
        "profiles": unique(NAME),
        "ports": array(
            mapping(
                {
                    "name": text(pattern=f"^{LABEL}$", maxLength=15),
                    "protocol": WITH_PORTS,
                    "port": number(1, MAX_PORT),
                },
                required=["name", "port", "protocol"],
            )
        ),
    },
    required=["node"],
    anyOf=[
        {**given("interfaceName"), "properties": {"interfaceName": {"minLength": 1}}},
        {**given("expectedIPs"), "properties": {"expectedIPs": {"minItems": 1}}},
    ],
)
FAILSAFES = array(
    mapping(
        {
            "protocol": text(pattern="^([tT][cC][pP]|[uU][dD][pP]|[sS][cC][tT][pP])?$"),
            "port": number(0, MAX_PORT),
            "net": text(),
        },
        required=["port"],
    )
)
#: The fields that have an effect here; the others of Calico's are kept, and reported as having none.
FELIX = mapping(
    {
        "failsafeInboundHostPorts": FAILSAFES | {"nullable": True},
        "failsafeOutboundHostPorts": FAILSAFES | {"nullable": True},
        "interfacePrefix": text(),
        "interfaceExclude": text(),
        "logPrefix": text(),
        "iptablesFilterAllowAction": text(pattern="^(?i:(Accept|Return)?)$"),
        "iptablesFilterDenyAction": text(pattern="^(?i:(Drop|Reject)?)$"),
        "nftablesFilterAllowAction": text(pattern="^(?i:(Accept|Return)?)$"),
        "nftablesFilterDenyAction": text(pattern="^(?i:(Drop|Reject)?)$"),
        "disableConntrackInvalidCheck": BOOLEAN,
    }
) | {"x-kubernetes-preserve-unknown-fields": True}
#: No set, as it is in Calico: the server compares each member with each other one (seconds for 25,000), and notes down
#: the owner of every single one. Repeats count once anyway.
NETS = mapping({"nets": array(CIDR) | {"x-kubernetes-list-type": "atomic"}})
PROFILE = mapping({"ingress": RULES, "egress": RULES, "labelsToApply": LABELS})
TIER = mapping(
    {"order": {"type": "number", "nullable": True}, "defaultAction": text(enum=["Pass", "Deny"])},
)


def crd(  # noqa: PLR0913 -- what a definition has
    kind: str,
    plural: str,
    spec: Schema,
    *,
    short: tuple[str, ...] = (),
    namespaced: bool = False,
    name: Schema | None = None,
    columns: tuple[Schema, ...] = (),
    status: bool = False,
    api: tuple[str, str] = ("projectcalico.org", "v3"),
) -> Schema:
    """Return a definition."""
    group, version = api
    properties: Schema = {
        "apiVersion": text(),
        "kind": text(),
        "metadata": {"type": "object", **({"properties": {"name": name}} if name else {})},
    }
    if spec:
        properties["spec"] = spec
    if status:
        properties["status"] = STATUS
    served: Schema = {
        "name": version,
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": mapping(properties)},
    }
    if status and spec:
        served["subresources"] = {"status": {}}
    if columns or status:
        served["additionalPrinterColumns"] = [*columns, *(STATUS_COLUMNS if status else ())]
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{group}"},
        "spec": {
            "group": group,
            "names": {
                "kind": kind,
                "listKind": f"{kind}List",
                "plural": plural,
                "singular": kind.lower(),
                **({"shortNames": list(short)} if short else {}),
            },
            "scope": "Namespaced" if namespaced else "Cluster",
            "versions": [served],
        },
    }


def definitions() -> list[Schema]:
    """Return the definitions of Calico's kinds."""
    tier = (column("Tier", ".spec.tier"), column("Order", ".spec.order"))
    return [
        crd(
            "HostEndpoint",
            "hostendpoints",
            HOST_ENDPOINT,
            short=("hep", "heps"),
            columns=(column("Node", ".spec.node"), column("Interface", ".spec.interfaceName")),
            status=True,
        ),
        crd(
            "GlobalNetworkPolicy",
            "globalnetworkpolicies",
            mapping(GLOBAL_POLICY, **CLASSES),
            short=("gnp", "cgnp"),
            name=POLICY_NAME,
            columns=tier,
        ),
        crd(
            "StagedGlobalNetworkPolicy",
            "stagedglobalnetworkpolicies",
            mapping({"stagedAction": text(enum=["Set", "Delete", "Learn", "Ignore"]), **GLOBAL_POLICY}, **STAGED),
            short=("sgnp",),
            name=POLICY_NAME,
            columns=tier,
        ),
        crd(
            "NetworkPolicy",
            "networkpolicies",
            mapping(POLICY),
            short=("cnp", "caliconetworkpolicy"),
            namespaced=True,
            name=NAMESPACED_POLICY_NAME,
            columns=tier,
        ),
        crd("Tier", "tiers", TIER, name=TIER_NAME, columns=(column("Order", ".spec.order"),)),
        crd("GlobalNetworkSet", "globalnetworksets", NETS, short=("gns",)),
        crd("NetworkSet", "networksets", NETS, short=("netsets",), namespaced=True),
        crd("Profile", "profiles", PROFILE),
        crd("FelixConfiguration", "felixconfigurations", FELIX, short=("felixconfig",)),
    ]


def status_definition() -> Schema:
    """Return the definition of what takes the status of host endpoints whose own kind has none."""
    return crd("HostEndpointStatus", "hostendpointstatuses", {}, status=True, api=("pyxdp.io", "v1"))


class _Dumper(yaml.SafeDumper):
    """Writes a value that stands in several places each time."""

    def ignore_aliases(self, data: object) -> bool:  # noqa: ARG002 -- asked of every value
        return True


def files() -> dict[str, str]:
    """Return the content of each file, by its path in the checkout."""
    return {
        "deploy/crds.yaml": _render(definitions()),
        "deploy/crd-status.yaml": _render([status_definition()]),
    }


def _render(documents: list[Schema]) -> str:
    return HEAD + yaml.dump_all(
        documents, Dumper=_Dumper, explicit_start=True, sort_keys=False, width=120, default_flow_style=False
    )


if __name__ == "__main__":
    for path, text in files().items():
        (ROOT / path).write_text(text, encoding="utf-8")
