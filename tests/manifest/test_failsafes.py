"""FelixConfiguration: failsafe lists in both forms (every parser vector of spec section 1.11) and the other fields."""

from __future__ import annotations

from ipaddress import ip_network

import pytest

from pyxdp.manifest import loads
from pyxdp.manifest.felix_fields import WITHOUT_EFFECT
from pyxdp.model import DEFAULT_FAILSAFE_INBOUND, DEFAULT_FAILSAFE_OUTBOUND, FailsafePort, FelixConfiguration
from pyxdp.net import Protocol
from tests.manifest.documents import complaints, document, only, problems_of, text_of

NUMBERS = {"TCP": 6, "UDP": 17, "SCTP": 132}


def felix(**spec: object) -> FelixConfiguration:
    configuration = only(document("FelixConfiguration", spec, name="default"), "felixConfigurations")
    assert isinstance(configuration, FelixConfiguration)
    return configuration


def ports(*written: tuple[str, int] | tuple[str, int, str]) -> tuple[FailsafePort, ...]:
    return tuple(
        FailsafePort(Protocol(NUMBERS[p], p), n, ip_network(net[0]) if net else None) for p, n, *net in written
    )


TEXTS = {
    "1,2,3,4": ports(("TCP", 1), ("TCP", 2), ("TCP", 3), ("TCP", 4)),
    "tcp:1,udp:2": ports(("TCP", 1), ("UDP", 2)),
    "tcp:0.0.0.0/0:1,udp:0.0.0.0/0:2": ports(("TCP", 1, "0.0.0.0/0"), ("UDP", 2, "0.0.0.0/0")),
    "tcp:[::/0]:1,udp:[::/0]:2": ports(("TCP", 1, "::/0"), ("UDP", 2, "::/0")),
    "1,udp:2": ports(("TCP", 1), ("UDP", 2)),
    "none": (),
    "None": (),
    "": DEFAULT_FAILSAFE_INBOUND,
    "tcp::22": ports(("TCP", 22)),
    " tcp:22 ,, UDP:68 , ": ports(("TCP", 22), ("UDP", 68)),
    "tcp:10.1.2.3/8:22": ports(("TCP", 22, "10.0.0.0/8")),
    "tcp:10.1.2.3:22": ports(("TCP", 22, "10.1.2.3/32")),
    "tcp:[2001:db8::1]:22": ports(("TCP", 22, "2001:db8::1/128")),
    "0": ports(("TCP", 0)),
    "tcp:65535": ports(("TCP", 65535)),
    "sctp:20": ports(("SCTP", 20)),
}


@pytest.mark.parametrize(("text", "expected"), TEXTS.items(), ids=[repr(text) for text in TEXTS])
def test_text_form(text: str, expected: tuple[FailsafePort, ...]) -> None:
    assert felix(failsafeInboundHostPorts=text).failsafeInboundHostPorts == expected


@pytest.mark.parametrize(
    "text",
    [
        "foo:1", "tcp:0.0.0.0/0:1:bar", "tcp:[::/0]", "tcp:[::/0]:", "tcp:::/0:22", "tcp:22:22", "[::/0]:22", "22:tcp",
        ":22", "tcp:", "tcp:65536", "tcp:-1", "tcp:1.5", "tcp: 22", "tcp:10.0.0.0/33:22", "tcp:[10.0.0.0/33]:22", "a",
        "icmp:1", "6:22", "tcp:99999999999999999999", "tcp:[]]:22",
    ],
)  # fmt: skip
def test_text_form_refused(text: str) -> None:
    ((path, message),) = complaints(document("FelixConfiguration", {"failsafeOutboundHostPorts": f"tcp:1, {text}"}))
    assert path == "$.spec.failsafeOutboundHostPorts"
    assert f"`{text}`" in message


def test_empty_text_is_the_default_of_its_own_direction() -> None:
    assert felix(failsafeOutboundHostPorts="").failsafeOutboundHostPorts == DEFAULT_FAILSAFE_OUTBOUND


def test_every_wrong_item_of_a_text_has_its_column() -> None:
    text = "apiVersion: projectcalico.org/v3\nkind: FelixConfiguration\nmetadata: {name: default}\nspec:\n"
    found = [
        (problem.line, problem.column)
        for problem in problems_of(f"{text}  failsafeInboundHostPorts: 'tcp:22, foo:1, tcp:70000'\n")
    ]
    assert found == [(5, 38), (5, 49)]


def test_struct_form() -> None:
    written = [
        {"protocol": "TCP", "port": 22},
        {"protocol": "udp", "port": 0, "net": "10.1.2.3/8"},
        {"port": 1, "net": "2001:db8::1"},
        {"protocol": "SCTP", "port": 20},
    ]
    expected = ports(("TCP", 22), ("UDP", 0, "10.0.0.0/8"), ("TCP", 1, "2001:db8::1/128"), ("SCTP", 20))
    assert felix(failsafeInboundHostPorts=written).failsafeInboundHostPorts == expected


def test_list_of_texts() -> None:
    found = felix(failsafeInboundHostPorts=["tcp:22", 23]).failsafeInboundHostPorts
    assert found == ports(("TCP", 22), ("TCP", 23))


def test_empty_list_is_empty_and_not_given_is_none() -> None:
    configuration = felix(failsafeInboundHostPorts=[])
    assert configuration.failsafeInboundHostPorts == ()
    assert configuration.failsafeOutboundHostPorts is None


def test_interface_lists_and_log_prefix() -> None:
    configuration = felix(interfacePrefix="cali, tap", interfaceExclude="kube-ipvs0,/^veth/", logPrefix="drop %t")
    assert configuration.interfacePrefix == ("cali", "tap")
    assert configuration.interfaceExclude == ("kube-ipvs0", "/^veth/")
    assert configuration.logPrefix == "drop %t"
    assert felix(interfacePrefix="", interfaceExclude="", logPrefix="") == felix()


FILTER_ACTIONS = [
    ("FilterAllowAction", "Accept", "Accept"),
    ("FilterAllowAction", "return", "Return"),
    ("FilterDenyAction", "DROP", "Drop"),
    ("FilterDenyAction", "Reject", "Reject"),
    ("FilterDenyAction", "", None),
]


@pytest.mark.parametrize(("field", "written", "found"), FILTER_ACTIONS)
@pytest.mark.parametrize("backend", ["iptables", "nftables"])
def test_filter_actions_in_any_case_as_felix_reads_them(
    backend: str, field: str, written: str, found: str | None
) -> None:
    configuration = felix(**{f"{backend}{field}": written})
    assert getattr(configuration, f"{backend}{field}") == found
    assert configuration.ignored == ()


@pytest.mark.parametrize("written", [True, False])
def test_conntrack_invalid_check(*, written: bool) -> None:
    assert felix(disableConntrackInvalidCheck=written).disableConntrackInvalidCheck is written
    assert felix().disableConntrackInvalidCheck is None


@pytest.mark.parametrize(
    ("field", "value", "part"),
    [
        ("iptablesFilterAllowAction", "Drop", "must be one of Accept, Return, not `Drop`"),
        ("nftablesFilterAllowAction", "Acept", "did you mean `Accept`?"),
        ("iptablesFilterDenyAction", "Return", "must be one of Drop, Reject"),
        ("nftablesFilterDenyAction", 1, "a number in YAML"),
        ("disableConntrackInvalidCheck", "true", "remove the quotes"),
        ("interfacePrefix", "cali,,tap", "interface name"),
        ("interfacePrefix", "a b", "interface name"),
        ("interfaceExclude", "/(/", "regular expression"),
        ("interfaceExclude", "eth*", "interface name"),
        ("logPrefix", "drop\n", "letters, digits"),
    ],
)
def test_other_fields_refused(field: str, value: str, part: str) -> None:
    ((path, message),) = complaints(document("FelixConfiguration", {field: value}, name="default"))
    assert path == f"$.spec.{field}"
    assert part in message


def test_fields_without_effect_are_notices() -> None:
    text = (
        "apiVersion: projectcalico.org/v3\nkind: FelixConfiguration\nmetadata: {name: default}\n"
        "spec:\n  bpfEnabled: true\n  xdpRefreshInterval: 10s\n  logPrefix: x\n"
    )
    manifest = loads(text, file="felix.yaml")
    assert manifest.notices == (
        "felix.yaml:5: FelixConfiguration/default: bpfEnabled: no effect here",
        "felix.yaml:6: FelixConfiguration/default: xdpRefreshInterval: no effect here",
    )
    assert manifest.resources.felixConfigurations[0].ignored == ("bpfEnabled", "xdpRefreshInterval")


@pytest.mark.parametrize("field", sorted(WITHOUT_EFFECT))
def test_every_known_field_is_accepted_whatever_its_value(field: str) -> None:
    manifest = loads(text_of(document("FelixConfiguration", {field: {"any": ["thing"]}}, name="node.a")), file="f")
    assert [notice.rpartition(": ")[0].rpartition(" ")[2] for notice in manifest.notices] == [field]


def test_unknown_field_is_a_problem() -> None:
    ((path, message),) = complaints(document("FelixConfiguration", {"bpfEnable": True}, name="default"))
    assert path == "$.spec.bpfEnable"
    assert message == "unknown field; did you mean `bpfEnabled`?"


def test_configuration_that_nobody_reads_is_a_notice() -> None:
    (notice,) = loads(text_of(document("FelixConfiguration", {}, name="mine"))).notices
    assert "only the configurations `default` and `node.NAME` have an effect" in notice
