"""Text to cases: defaults, frames, and everything that is wrong."""

from __future__ import annotations

from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

import pytest

from pyxdp.cases import Case, Stage, Verdict, read_cases
from pyxdp.evaluator import Conntrack, Context, Direction, Path
from pyxdp.manifest import loads
from pyxdp.net import Packet

if TYPE_CHECKING:
    from pathlib import Path as FilePath

RESOURCES = loads(
    """
{apiVersion: projectcalico.org/v3, kind: HostEndpoint, metadata: {name: eth}, spec: {node: n, interfaceName: eth0}}
---
{apiVersion: projectcalico.org/v3, kind: HostEndpoint, metadata: {name: ip}, spec: {node: n, expectedIPs: [10.9.8.7, "2001:db8:5::5"]}}
---
{apiVersion: projectcalico.org/v3, kind: HostEndpoint, metadata: {name: star}, spec: {node: m, interfaceName: "*"}}
---
{apiVersion: projectcalico.org/v3, kind: HostEndpoint, metadata: {name: ethereal}, spec: {node: n, interfaceName: eth0}}
---
{apiVersion: projectcalico.org/v3, kind: HostEndpoint, metadata: {name: ghost}, spec: {node: n, interfaceName: kube-ipvs0}}
"""  # noqa: E501
).resources


def read(tmp_path: FilePath, text: str, *, known: bool = True) -> tuple[tuple[Case, ...], list[str]]:
    """Return the cases of a file, and what is wrong with it, without the file's name."""
    file = tmp_path / "cases.yaml"
    file.write_text(text)
    found = read_cases([file], RESOURCES if known else None)
    return found.cases, [str(problem).removeprefix(f"{file}:") for problem in sorted(found.problems)]


def one(tmp_path: FilePath, packet: str, rest: str = "endpoint: eth, expect: deny") -> Case:
    cases, problems = read(tmp_path, f"cases: [{{name: it, {rest}, packet: {packet}}}]")
    assert problems == []
    return cases[0]


def wrong(tmp_path: FilePath, case: str) -> list[str]:
    """Return the messages for a case that has everything but a packet."""
    _, problems = read(tmp_path, f"cases: [{{name: it, endpoint: eth, expect: deny, {case}}}]")
    return [problem.split(": ", 3)[3] for problem in problems]


def test_defaults(tmp_path: FilePath) -> None:
    case = one(tmp_path, "{protocol: TCP}")
    assert (case.name, case.endpoint, case.expect, case.untracked) == ("it", "eth", Verdict.DENY, None)
    assert (case.direction, case.context, case.stage) == (Direction.INGRESS, Context(), Stage.ALL)
    assert (case.origin.file, case.origin.line) == (str(tmp_path / "cases.yaml"), 1)
    assert case.packet == Packet(
        protocol=6,
        source=ip_address("198.51.100.7"),
        destination=ip_address("192.0.2.1"),
        source_port=40000,
        destination_port=50000,
    )


def test_everything_written(tmp_path: FilePath) -> None:
    packet = (
        "{protocol: UDP, src: 10.0.0.1, dst: 10.0.0.2, sport: 0, dport: 65535, ctstate: related, "
        "originalDst: 10.0.0.3, originalDport: 7}"
    )
    rest = "endpoint: ip, expect: no-match, direction: egress, path: forward, stage: preDNAT, untracked: false"
    case = one(tmp_path, packet, rest)
    assert case.packet == Packet(
        protocol=17,
        source=ip_address("10.0.0.1"),
        destination=ip_address("10.0.0.2"),
        source_port=0,
        destination_port=65535,
    )
    assert case.context == Context(
        path=Path.FORWARD,
        conntrack=Conntrack.RELATED,
        original_destination=ip_address("10.0.0.3"),
        original_destination_port=7,
    )
    assert (case.direction, case.stage, case.expect, case.untracked) == (
        Direction.EGRESS,
        Stage.PRE_DNAT,
        Verdict.NO_MATCH,
        False,
    )


@pytest.mark.parametrize(
    ("packet", "rest", "source", "destination"),
    [
        ("{protocol: TCP}", "endpoint: ip", "198.51.100.7", "10.9.8.7"),
        ("{protocol: ICMPv6}", "endpoint: ip", "2001:db8:9::7", "2001:db8:5::5"),
        ("{protocol: TCP}", "endpoint: ip, direction: egress", "10.9.8.7", "198.51.100.7"),
        ("{protocol: TCP}", "endpoint: eth, path: forward", "198.51.100.7", "203.0.113.7"),
        ('{protocol: TCP, src: "::1"}', "endpoint: star", "::1", "2001:db8::1"),
        ("{protocol: TCP, dst: 10.1.1.1}", "endpoint: eth", "198.51.100.7", "10.1.1.1"),
        ('{protocol: TCP, originalDst: "::1"}', "endpoint: eth", "2001:db8:9::7", "2001:db8::1"),
    ],
)
def test_default_addresses(tmp_path: FilePath, packet: str, rest: str, source: str, destination: str) -> None:
    found = one(tmp_path, packet, f"{rest}, expect: allow").packet
    assert isinstance(found, Packet)
    assert (str(found.source), str(found.destination)) == (source, destination)


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("{protocol: icmp}", {"protocol": 1, "icmp_type": 8, "icmp_code": 0}),
        ("{protocol: ICMPv6}", {"protocol": 58, "icmp_type": 128, "icmp_code": 0}),
        ("{protocol: 1, icmp: {type: 3, code: 4}}", {"protocol": 1, "icmp_type": 3, "icmp_code": 4}),
        ("{protocol: sctp, dport: 5}", {"protocol": 132, "source_port": 40000, "destination_port": 5}),
        ('{protocol: "136"}', {"protocol": 136, "source_port": 40000, "destination_port": 50000}),
        ("{protocol: 47}", {"protocol": 47, "source_port": None, "icmp_type": None}),
        ("{protocol: TCP, fragment: later}", {"protocol": 6, "later_fragment": True, "source_port": None}),
    ],
)
def test_protocols(tmp_path: FilePath, written: str, expected: dict[str, Any]) -> None:
    found = one(tmp_path, written).packet
    assert {name: getattr(found, name) for name in expected} == expected


@pytest.mark.parametrize(
    "written",
    ['"ffffffffffff 020000000001 0806"', '"ff:ff:ff:ff:ff:ff:02:00:00:00:00:01:08:06"', "ffffffffffff0200000000010806"],
)
def test_frame(tmp_path: FilePath, written: str) -> None:
    cases, problems = read(
        tmp_path, f"cases: [{{name: f, endpoint: eth, path: forward, frame: {written}, expect: deny}}]"
    )
    assert problems == []
    assert cases[0].packet == bytes.fromhex("ffffffffffff 020000000001 0806")
    assert cases[0].context == Context(path=Path.FORWARD)


def test_frame_of_digits_only(tmp_path: FilePath) -> None:
    cases, _ = read(tmp_path, f"cases: [{{name: f, endpoint: eth, frame: {'0' * 28}, expect: deny}}]")
    assert cases[0].packet == bytes(14)


@pytest.mark.parametrize(
    ("case", "messages"),
    [
        ("x: 1", ["is required: what is judged; or `frame`, its bytes in hexadecimal", "unknown field; known here: *"]),
        ('frame: "0g"', ["must be whole bytes in hexadecimal, not `0g`"]),
        ('frame: "012"', ["must be whole bytes in hexadecimal, not `012`"]),
        ("frame: [1]", ["must be text, not a list"]),
        (f"frame: {'00' * 65_598}", ["has 65,598 bytes; the longest IP packet makes a frame of 65,597"]),
        (f"frame: {'00' * 14}, packet: {{protocol: TCP}}", ["a case has a packet or a frame, not both"]),
        ("packet: []", ["must be a mapping, not a list"]),
        ("packet: {}", ["is required: a name such as TCP, or a number from 1 to 255"]),
        ("packet: {protocol: 0}", ["must be one of TCP, *"]),
        ("packet: {protocol: TCP, port: 1}", ["unknown field; did you mean `sport`?"]),
        ("packet: {protocol: TCP, dport: 65536}", ["must be a whole number from 0 to 65535, *"]),
        ("packet: {protocol: TCP, dport: http}", ["must be a whole number from 0 to 65535, not text"]),
        ("packet: {protocol: 47, sport: 1}", ["packets of protocol 47 have no ports"]),
        ("packet: {protocol: ICMP, originalDport: 1}", ["packets of protocol 1 have no ports"]),
        ("packet: {protocol: TCP, icmp: {type: 1}}", ["packets of protocol 6 have no ICMP type"]),
        ("packet: {protocol: ICMP, icmp: {code: 1}}", ["is required: 0 to 255"]),
        ("packet: {protocol: ICMP, icmp: {type: 256}}", ["must be a whole number from 0 to 255, *"]),
        ("packet: {protocol: TCP, fragment: later, dport: 1}", ["a later fragment has no ports"]),
        ("packet: {protocol: TCP, fragment: first}", ["must be one of later, not `first`"]),
        ("packet: {protocol: TCP, src: 10.0.0.0/8}", ["must be an IPv4 or IPv6 address, *"]),
        ('packet: {protocol: TCP, src: 10.0.0.1, dst: "::1"}', ["mixes IPv4 and IPv6 addresses"]),
        ('packet: {protocol: TCP, src: 10.0.0.1, originalDst: "::1"}', ["mixes IPv4 and IPv6 addresses"]),
        ('packet: {protocol: ICMP, src: "::1"}', ["protocol 1 is of IPv4, the addresses are not"]),
        ("packet: {protocol: ICMPv6, src: 10.0.0.1}", ["protocol 58 is of IPv6, the addresses are not"]),
        ("packet: {protocol: TCP, ctstate: NEW}", ["must be one of new, *, not `NEW`; did you mean `new`?"]),
    ],
)
def test_problems(tmp_path: FilePath, case: str, messages: list[str]) -> None:
    found = wrong(tmp_path, case)
    assert len(found) == len(messages)
    for message, expected in zip(sorted(found), sorted(messages), strict=True):
        beginning, _, end = expected.partition("*")
        assert message.startswith(beginning)
        assert message.endswith(end)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "1:1: $: holds no cases"),
        ("cases: []", "1:8: $.cases: holds no cases"),
        ("cases:", "1:1: $.cases: is required: a list of packets, each with what should become of it"),
        ("cases: {name: a}", "1:8: $.cases: must be a list, not a mapping"),
        ("[]", "1:1: $: must be a mapping, not a list"),
        ("cases: [a]", "1:9: $.cases[0]: must be a mapping, not text"),
        ("cases: [{]", "1:10: $: not YAML: *"),
    ],
)
def test_documents_that_are_none(tmp_path: FilePath, text: str, problem: str) -> None:
    _, problems = read(tmp_path, text)
    assert len(problems) == 1
    assert problems[0].startswith(problem.rstrip("*"))


@pytest.mark.parametrize(
    ("endpoint", "problem"),
    [
        ("ghots", "there is no HostEndpoint `ghots`: did you mean `ghost`?"),
        ("zzz", "there is no HostEndpoint `zzz`: there are eth, ethereal, ghost, ip, star"),
        ("ethereal", "HostEndpoint `ethereal` governs no interface: eth governs eth0: *"),
        ("ghost", "HostEndpoint `ghost` governs no interface: *"),
    ],
)
def test_endpoints_that_can_not_be_tested(tmp_path: FilePath, endpoint: str, problem: str) -> None:
    text = f"cases: [{{name: it, endpoint: {endpoint}, packet: {{protocol: TCP}}, expect: deny}}]"
    _, problems = read(tmp_path, text)
    assert len(problems) == 1
    assert problems[0].startswith(f"1:30: case it: $.cases[0].endpoint: {problem.rstrip('*')}")


def test_an_endpoint_governs_by_an_address_that_is_not_also_that_of_a_smaller_name(tmp_path: FilePath) -> None:
    host = "{{apiVersion: projectcalico.org/v3, kind: HostEndpoint, metadata: {{name: {}}}, spec: {{node: n, {}}}}}"
    texts = [host.format("a", "expectedIPs: [10.0.0.1]"), host.format("b", "expectedIPs: [10.0.0.1, 10.0.0.2]")]
    texts.append(host.format("c", "expectedIPs: [10.0.0.2]"))
    file = tmp_path / "cases.yaml"
    file.write_text("cases: [{name: it, endpoint: b, packet: {protocol: TCP}, expect: deny}]")
    assert len(read_cases([file], loads("\n---\n".join(texts)).resources).cases) == 1
    file.write_text("cases: [{name: it, endpoint: c, packet: {protocol: TCP}, expect: deny}]")
    (problem,) = read_cases([file], loads("\n---\n".join(texts)).resources).problems
    assert "HostEndpoint `c` governs no interface: b governs " in str(problem)


def test_without_a_policy_endpoints_are_not_looked_up(tmp_path: FilePath) -> None:
    cases, problems = read(tmp_path, "cases: [{name: it, endpoint: zzz, packet: {}}]", known=False)
    assert cases == ()
    assert [problem.split(": ")[2] for problem in problems] == ["$.cases[0].expect", "$.cases[0].packet.protocol"]


def test_several_documents_and_files(tmp_path: FilePath) -> None:
    case = "cases: [{name: NAME, endpoint: eth, packet: {protocol: TCP}, expect: deny}]\n"
    (tmp_path / "a.yaml").write_text(case.replace("NAME", "a") + "---\n" + case.replace("NAME", "b"))
    (tmp_path / "b.json").write_text(case.replace("NAME", "c"))
    found = read_cases([tmp_path], RESOURCES)
    assert [it.name for it in found.cases] == ["a", "b", "c"]


def test_a_file_that_is_not_there() -> None:
    found = read_cases(["missing.yaml"], RESOURCES)
    assert [str(problem) for problem in found.problems] == ["missing.yaml: there is no such file or folder"]
