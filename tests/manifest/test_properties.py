"""Whatever a file holds, it loads or raises ManifestError."""

from __future__ import annotations

import json
import re

import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from pyxdp.manifest import loads
from pyxdp.manifest.kinds import KINDS, WITHOUT_EFFECT
from tests.manifest.documents import problems_of

WORDS = [
    "Allow", "Deny", "TCP", "ICMP", "tcp", "10.0.0.0/8", "::/0", "has(a)", "a == 'b'", "global()", "*", "eth0", "none",
    "default", "80", "1:2", "http", "Ingress", "Egress", "Set", "Delete", "Pass", "", "x", "tcp:[::/0]", "kube-admin",
]  # fmt: skip
RULE_FIELDS = [
    "action", "source", "destination", "protocol", "notProtocol", "icmp", "notICMP", "http", "ipVersion", "metadata",
]  # fmt: skip
SPEC_FIELDS = [
    "nets", "selector", "namespaceSelector", "types", "order", "tier", "doNotTrack", "preDNAT", "applyOnForward",
    "stagedAction", "performanceHints", "defaultAction", "node", "interfaceName", "expectedIPs", "profiles", "ports",
    "labelsToApply", "failsafeInboundHostPorts", "interfaceExclude", "interfacePrefix", "logPrefix", "bpfEnabled",
    "addresses", "bgp",
]  # fmt: skip
FIELDS = [
    *RULE_FIELDS, *SPEC_FIELDS, "apiVersion", "kind", "spec", "name", "namespace", "labels", "annotations", "status",
    "items", "ingress", "egress", "notNets", "notPorts", "notSelector", "serviceAccounts", "services", "names", "type",
    "code", "methods", "paths", "exact", "prefix", "port", "net", "address", "<<",
]  # fmt: skip

scalars = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.sampled_from(WORDS), st.text(max_size=10))
keys = st.one_of(st.sampled_from(FIELDS), st.text(max_size=5))
values = st.recursive(
    scalars,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(keys, inner, max_size=6)),
    max_leaves=12,
)
kinds = st.sampled_from([*KINDS, *sorted(WITHOUT_EFFECT), "List", *(f"{kind}List" for kind in KINDS)])
versions = st.sampled_from(["projectcalico.org/v3", "crd.projectcalico.org/v1", "v1"])
rules = st.lists(st.fixed_dictionaries({}, optional=dict.fromkeys(RULE_FIELDS, values)), max_size=3)
specs = st.one_of(
    st.dictionaries(keys, values, max_size=8),
    st.fixed_dictionaries({}, optional={"ingress": rules, "egress": rules, **dict.fromkeys(SPEC_FIELDS, values)}),
)
resources = st.fixed_dictionaries(
    {"apiVersion": versions, "kind": kinds},
    optional={
        "metadata": st.one_of(values, st.just({"name": "x"})),
        "spec": specs,
        "items": st.lists(values),
        "status": values,
    },
)


def load_anything(text: str) -> None:
    for problem in problems_of(text):
        assert problem.line >= 1
        assert problem.column >= 1
        assert problem.path.startswith("$")
        assert problem.message


@given(values)
@settings(deadline=None)
def test_any_structure(value: object) -> None:
    load_anything(yaml.safe_dump(value))


@given(st.lists(resources, max_size=3))
@settings(max_examples=60, deadline=None)
def test_anything_that_resembles_resources(documents: list[object]) -> None:
    load_anything(yaml.safe_dump_all(documents))


simple = st.fixed_dictionaries(
    {
        "apiVersion": st.just("projectcalico.org/v3"),
        "kind": st.sampled_from([*KINDS, *sorted(WITHOUT_EFFECT)]),
        "metadata": st.fixed_dictionaries({"name": st.text(alphabet="ab", min_size=1, max_size=3)}),
    },
    optional={"spec": st.dictionaries(st.sampled_from(SPEC_FIELDS), scalars, max_size=2)},
)


@given(st.lists(simple, max_size=4))
@settings(max_examples=300, deadline=None)
def test_nothing_is_left_out_without_a_word(documents: list[object]) -> None:
    text = yaml.safe_dump_all(documents)
    if not problems_of(text):
        manifest = loads(text)
        ignored = [notice for notice in manifest.notices if notice.endswith("no effect on host policy: ignored")]
        assert len(list(manifest.resources)) + len(ignored) == len(documents)


@given(resources)
@settings(deadline=None)
def test_layout_changes_nothing(document: object) -> None:
    def found(text: str) -> list[tuple[str, str]]:
        problems = [(problem.path, re.sub(r"test\.yaml:\d+", "", problem.message)) for problem in problems_of(text)]
        return sorted(problem for problem in problems if "line" not in problem[1])

    assert found(json.dumps(document)) == found(json.dumps(document, indent=2))


@given(st.text())
@settings(deadline=None)
def test_any_text(text: str) -> None:
    load_anything(text)


@given(st.text(alphabet="[]{}:,-?&*!|>'\"%@` \n\tab#<1.~", max_size=60))
@settings(max_examples=1000, deadline=None)
def test_any_yaml_syntax(text: str) -> None:
    load_anything(text)
