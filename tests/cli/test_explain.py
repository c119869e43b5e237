"""``pyxdp explain``: needs no machine, so it runs as anybody, anywhere."""

from __future__ import annotations

import json
import os
import pty
import subprocess
from dataclasses import replace
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any, Final

import click
import pytest

import pyxdp
from pyxdp.cli.confirmation import Confirmation
from pyxdp.cli.explain import _complain
from pyxdp.cli.flow import parse_flow, parse_hex
from pyxdp.cli.output import Output
from pyxdp.evaluator import Direction
from pyxdp.explanation import place_of
from pyxdp.net import Packet
from pyxdp.net.frame import build_frame
from tests.cli.inside import run_inside
from tests.cli.machine import PYXDP, policy
from tests.net.test_capture import pcap

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.inside import Done

CLIENT: Final = "198.51.100.7"
HOST: Final = "192.0.2.10"
ASKED: Final = ("tcp", f"{CLIENT}:40000", f"{HOST}:6379")


def endpoint(interface: str = "eth0", *, name: str = "hep", node: str = "host", more: str = "") -> str:
    return f"""
---
apiVersion: projectcalico.org/v3
kind: HostEndpoint
metadata: {{name: {name}}}
spec: {{node: {node}, interfaceName: {interface}{more}}}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the command runs: ``world.yaml`` has an endpoint, and a policy that takes Redis out of conntrack."""
    (tmp_path / "world.yaml").write_text(endpoint() + policy())
    return tmp_path


def run(folder: Path, *arguments: str, before: tuple[str, ...] = ()) -> Done:
    engine = () if "--engine" in arguments else ("--engine", "evaluator")
    if not before:
        return run_inside(folder, "explain", *arguments, *engine)
    command = [*before, PYXDP, "explain", *arguments, *engine]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def answered(folder: Path, *arguments: str) -> list[str]:
    done = run(folder, "-f", "world.yaml", *arguments)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


def flows(folder: Path, *arguments: str) -> list[dict[str, Any]]:
    done = run(folder, "-f", "world.yaml", *arguments, "--json")
    assert done.returncode == 0, done.stderr
    found: list[dict[str, Any]] = json.loads(done.stdout)["flows"]
    return found


def refused(folder: Path, *arguments: str) -> str:
    done = run(folder, *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines()[-1].startswith("hint: ")
    return done.stderr.splitlines()[0].removeprefix("error: ")


def packet(**fields: Any) -> Packet:
    given = {"protocol": 6, "source_port": 40000, "destination_port": 6379, **fields}
    return Packet(source=ip_address(CLIENT), destination=ip_address(HOST), **given)


def test_the_verdict_comes_first(folder: Path) -> None:
    lines = answered(folder, *ASKED)
    assert lines[0] == "ALLOW untracked  default/redis ingress[0] Allow, world.yaml:9"
    assert lines[1] == f"TCP {CLIENT}:40000 -> {HOST}:6379, ingress on eth0 (HostEndpoint/hep, world.yaml:3)"
    assert "\x1b" not in "".join(lines)


def test_the_same_as_a_frame_and_as_the_library_says(folder: Path) -> None:
    frame = build_frame(packet())
    assert answered(folder, "--frame", frame.hex()) == answered(folder, *ASKED)
    assert answered(folder, "--frame", frame.hex(":")) == answered(folder, *ASKED)
    resources = pyxdp.loads(endpoint() + policy(), file="world.yaml").resources
    assert str(pyxdp.explain(resources, packet(), endpoint="hep")).splitlines() == answered(folder, *ASKED)
    assert pyxdp.explain(resources, frame, endpoint="hep") == pyxdp.explain(resources, packet(), endpoint="hep")


def test_the_library_asks_interfaces_too() -> None:
    resources = pyxdp.loads(endpoint() + policy()).resources
    eth0 = pyxdp.Interface("eth0", 2, (ip_address(CLIENT),))
    explanation = pyxdp.explain(resources, packet(), interface="eth0", node="host", interfaces=[eth0])
    assert (explanation.direction.value, explanation.verdict.value) == ("Egress", "deny")
    inwards = pyxdp.explain(resources, packet(), interface="eth0", node="host", interfaces=[eth0], direction="ingress")
    assert inwards.untracked
    with pytest.raises(ValueError, match="either an endpoint or an interface"):
        pyxdp.explain(resources, packet())


def test_json(folder: Path) -> None:
    (flow,) = flows(folder, "tcp", CLIENT, f"{HOST}:80", "--forward", "--ctstate", "new", "--original-dport", "8080")
    assert (flow["packets"], flow["first"], flow["verdict"], flow["class"]) == (1, 1, "allow", "forward")
    assert (flow["path"], flow["ctstate"], flow["original_dport"]) == ("forward", "new", 8080)
    assert flow["packet"]["source_port"] == 49152
    (rule,) = flow["classes"][0]["stages"][1]["policies"][0]["rules"]
    assert (rule["why"], rule["file"], rule["line"]) == ("destination.ports 8080 is not 6379", "world.yaml", 9)


def test_a_dropped_packet_is_a_good_answer(folder: Path) -> None:
    (flow,) = flows(folder, "tcp", CLIENT, f"{HOST}:80")
    assert (flow["verdict"], flow["reason"], flow["rule"]) == ("deny", "END_OF_PROFILES", None)


def test_frames_that_hold_no_flow(folder: Path) -> None:
    broken = build_frame(packet())[:30]
    assert answered(folder, "--frame", broken.hex())[0].startswith("DENY  DROP_SHORT_IP: ")
    (flow,) = flows(folder, "--frame", broken.hex())
    assert (flow["verdict"], flow["reason"], flow["packet"], flow["classes"]) == ("deny", "DROP_SHORT_IP", None, [])


def test_options_of_the_question(folder: Path) -> None:
    assert answered(folder, *ASKED, "--ctstate", "established")[0].startswith("ALLOW untracked")
    assert "established" in answered(folder, "udp", CLIENT, f"{HOST}:53", "--ctstate", "established")[0]
    assert answered(folder, *ASKED, "--egress")[1].partition(", ")[2].startswith("egress on eth0")
    assert answered(folder, *ASKED, "--original-dst", "203.0.113.9")[1].endswith("before DNAT: 203.0.113.9")


def test_verbose(folder: Path) -> None:
    staged = {"apiVersion": "projectcalico.org/v3", "kind": "StagedGlobalNetworkPolicy", "metadata": {"name": "trial"}}
    text = json.dumps({**staged, "spec": {"selector": "all()"}})
    (folder / "world.yaml").write_text(f"{endpoint()}{policy()}\n---\n{text}")
    assert answered(folder, *ASKED)[-1] == "1 more policy was not asked; -v says why"
    assert answered(folder, *ASKED, "-v")[-1].startswith("  StagedGlobalNetworkPolicy/trial: staged: never enforced")


def test_a_capture(folder: Path) -> None:
    answer = Packet(
        protocol=6,
        source=ip_address(HOST),
        destination=ip_address(CLIENT),
        source_port=22,
        destination_port=40000,
    )
    asked = packet(destination_port=22)
    frames = [build_frame(it) for it in (asked, packet(), asked, packet(destination_port=80))] + [build_frame(answer)]
    (folder / "some.pcap").write_bytes(pcap(frames))
    lines = answered(folder, "--pcap", "some.pcap", "--ingress")
    assert lines[0].split() == ["PACKETS", "VERDICT", "DIRECTION", "FLOW", "WHY"]
    assert [line.split()[:3] for line in lines[1:]] == [
        ["2", "ALLOW", "ingress"],
        ["1", "ALLOW", "ingress"],
        ["1", "DENY", "ingress"],
        ["1", "DENY", "ingress"],
    ]
    found = flows(folder, "--pcap", "some.pcap", "--all", "--ingress")
    assert [(it["packets"], it["first"]) for it in found] == [(1, number) for number in range(1, 6)]
    told = answered(folder, "--pcap", "some.pcap", "--ingress", "-v")
    assert sum(line.startswith(("ALLOW", "DENY")) for line in told) == 4


def test_a_capture_with_answers(folder: Path) -> None:
    asked = packet(destination_port=22)
    answer = Packet(
        protocol=6, source=asked.destination, destination=asked.source, source_port=22, destination_port=40000
    )
    (folder / "some.pcap").write_bytes(pcap([build_frame(asked), build_frame(answer)]))
    found = flows(folder, "--pcap", "some.pcap", "--local", HOST)
    assert [(it["direction"], it["ctstate"], it["verdict"]) for it in found] == [
        ("ingress", "new", "allow"),
        ("egress", "established", "allow"),
    ]


def test_a_capture_that_does_not_tell_directions(folder: Path) -> None:
    (folder / "some.pcap").write_bytes(pcap([build_frame(packet())]))
    capture = ("-f", "world.yaml", "--pcap", "some.pcap")
    assert run(folder, *capture).stderr.startswith("warning: no address of the host is known")
    for option in (("--local", HOST), ("--ingress",), ("--egress",)):
        assert run(folder, *capture, *option).stderr == ""


def test_which_endpoint(folder: Path) -> None:
    other = endpoint("eth1", name="other", more=f", expectedIPs: [{HOST}]")
    far = endpoint(name="far", node="elsewhere")
    (folder / "world.yaml").write_text(endpoint() + other + far + policy())
    assert flows(folder, *ASKED)[0]["endpoint"] == "other"
    assert flows(folder, *ASKED, "--endpoint", "hep")[0]["endpoint"] == "hep"
    assert flows(folder, *ASKED, "--node", "elsewhere")[0]["endpoint"] == "far"
    unknown = ("tcp", "203.0.113.1", "203.0.113.2:6379")
    assert (
        refused(folder, "-f", "world.yaml", *unknown) == "which HostEndpoint? name one with --endpoint: far, hep, other"
    )
    assert refused(folder, "-f", "world.yaml", *unknown, "--endpoint", "hpe") == "there is no HostEndpoint 'hpe'"
    assert refused(folder, "-f", "world.yaml", *unknown, "--node", "x") == "no HostEndpoint of node x in the manifests"


def test_an_interface_of_this_machine(folder: Path) -> None:
    (flow,) = flows(folder, *ASKED, "--interface", "lo", "--node", "host")
    assert (flow["verdict"], flow["endpoint"]) == ("no-match", "")
    assert flow["decision"] == "no HostEndpoint of node host is for lo; there are: hep (eth0)"
    (flow,) = flows(folder, *ASKED, "--interface", "no-such-device", "--node", "host", "--local", CLIENT)
    assert flow["decision"].startswith("no HostEndpoint of node host is for no-such-device")
    assert flow["direction"] == "egress"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (ASKED, "no manifests: the kernel holds rules without their files"),
        (("-f", "world.yaml"), "name one packet"),
        (("-f", "world.yaml", *ASKED, "--frame", "00"), "name one packet"),
        (("-f", "world.yaml", "tcp", CLIENT), "name the packet as PROTOCOL SOURCE DESTINATION"),
        (("-f", "world.yaml", "--frame", "0"), "--frame: not a whole number of bytes in hex"),
        (("-f", "world.yaml", "--pcap", "world.yaml"), "world.yaml: neither a pcap nor a pcapng file"),
        (("-f", "world.yaml", "--pcap", "none.pcap"), "Invalid value for '--pcap'"),
        (
            ("-f", "world.yaml", *ASKED, "--original-dst", "x"),
            "Invalid value for '--original-dst'",
        ),
    ],
)
def test_questions_that_make_no_sense(folder: Path, arguments: tuple[str, ...], says: str) -> None:
    assert says in refused(folder, *arguments)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (ASKED, packet()),
        (("6", f"{CLIENT}:40000", f"{HOST}:6379"), packet()),
        (("TCP", CLIENT, f"{HOST}:6379"), packet(source_port=49152)),
        (("47", CLIENT, HOST), packet(protocol=47, source_port=None, destination_port=None)),
        (
            ("icmp", CLIENT, HOST),
            packet(protocol=1, source_port=None, destination_port=None, icmp_type=8, icmp_code=0),
        ),
        (
            ("icmp:3/4", CLIENT, HOST),
            packet(protocol=1, source_port=None, destination_port=None, icmp_type=3, icmp_code=4),
        ),
        (
            ("icmpv6:1", "2001:db8::1", "2001:db8::2"),
            Packet(
                protocol=58,
                source=ip_address("2001:db8::1"),
                destination=ip_address("2001:db8::2"),
                icmp_type=1,
                icmp_code=0,
            ),
        ),
        (
            ("udp", "[2001:db8::1]:53", "[2001:db8::2]:54"),
            Packet(
                protocol=17,
                source=ip_address("2001:db8::1"),
                destination=ip_address("2001:db8::2"),
                source_port=53,
                destination_port=54,
            ),
        ),
    ],
)
def test_packets_in_words(words: tuple[str, ...], expected: Packet) -> None:
    assert parse_flow(words) == expected


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("tpc", CLIENT, HOST), "tpc: not a protocol"),
        (("256", CLIENT, HOST), "256: not a protocol"),
        (("tcp", CLIENT, HOST), f"{HOST}: tcp needs a destination port"),
        (("tcp:1", CLIENT, f"{HOST}:1"), "only ICMP has a type"),
        (("icmp:256", CLIENT, HOST), "icmp:256: ICMP type and code are written as in icmp:3/4"),
        (("icmp:x/1", CLIENT, HOST), "icmp:x/1: ICMP type"),
        (("icmp", CLIENT, f"{HOST}:1"), "icmp has no ports"),
        (("tcp", CLIENT, f"{HOST}:65536"), "a port is at most 65535"),
        (("tcp", "here", f"{HOST}:1"), "here: not an address"),
        (("tcp", "2001:db8::1", f"{HOST}:1"), "are not of the same IP version"),
    ],
)
def test_words_that_make_no_sense(words: tuple[str, ...], says: str) -> None:
    with pytest.raises(click.ClickException) as caught:
        parse_flow(words)
    assert says in caught.value.format_message()


def test_hex() -> None:
    assert parse_hex("0x00 01:fF\n") == b"\x00\x01\xff"


def test_colours_on_a_terminal_only(folder: Path) -> None:
    ours, theirs = pty.openpty()
    try:
        command = [PYXDP, "explain", "-f", "world.yaml", *ASKED, "--engine", "evaluator"]
        done = subprocess.run(command, cwd=folder, stdout=theirs, stderr=subprocess.PIPE, check=False)
        told = os.read(ours, 65536).decode()
    finally:
        os.close(ours)
        os.close(theirs)
    assert done.returncode == 0
    assert "\x1b[32m\x1b[1mALLOW" in told
    assert click.unstyle(told).replace("\r", "").splitlines() == answered(folder, *ASKED)


def test_the_programs_are_asked_too(kernel: None, folder: Path) -> None:
    for arguments in (
        ASKED,
        ("tcp", CLIENT, f"{HOST}:80"),
        ("icmp", CLIENT, HOST, "--forward"),
        ("--frame", "00" * 14),
    ):
        for engine in ("auto", "both"):
            (flow,) = flows(folder, *arguments, "--engine", engine)
            assert flow["programs"] == "agree"
    assert (
        answered(folder, *ASKED, "-v", "--engine", "both")[-1] == "the BPF programs, run on this kernel, say the same"
    )
    assert answered(folder, *ASKED, "--engine", "both") == answered(folder, *ASKED)


def test_the_programs_are_asked_about_captures(kernel: None, folder: Path) -> None:
    some = [build_frame(packet(destination_port=port)) for port in (6379, 80, 22, 6379)]
    (folder / "some.pcap").write_bytes(pcap([*some, some[0][:20], some[0][:30]]))
    found = flows(folder, "--pcap", "some.pcap", "--ingress", "--engine", "both")
    assert [it["programs"] for it in found] == ["agree", "agree", "agree", None]


@pytest.mark.parametrize(("engine", "exit_code"), [("auto", 0), ("evaluator", 0), ("both", 3)])
def test_without_privileges(folder: Path, engine: str, exit_code: int) -> None:
    before = ("setpriv", "--bounding-set=-all", "--inh-caps=-all")
    done = run(folder, "-f", "world.yaml", *ASKED, "--engine", engine, before=before)
    assert done.returncode == exit_code
    if exit_code:
        assert done.stderr.splitlines()[-1].startswith("hint: ")
    else:
        assert (done.stdout.splitlines(), done.stderr) == (answered(folder, *ASKED), "")


def test_programs_that_say_something_else(kernel: None) -> None:
    resources = pyxdp.loads(endpoint() + policy()).resources
    explanation = pyxdp.explain(resources, packet(), endpoint="hep")
    with Confirmation(place_of(resources, "hep")) as programs:
        assert programs.differs(explanation) == ""
        wrong = programs.differs(replace(explanation, untracked=False))
        assert wrong == "allow untracked by default/redis/ingress[0] (untracked, PASS_ALLOWED)"
        assert programs.differs(replace(explanation, packet=None, direction=Direction.EGRESS)) is None


def test_a_disagreement_is_loud(capsys: pytest.CaptureFixture[str]) -> None:
    _complain(Output(as_json=False), [None, ""])
    assert capsys.readouterr() == ("", "")
    with pytest.raises(click.exceptions.Exit) as caught:
        _complain(Output(as_json=False), [None, "", "deny by default/redis/ingress[0] (untracked, DROP_POLICY)"])
    assert caught.value.exit_code == 1
    assert click.unstyle(capsys.readouterr().err).splitlines() == [
        "error: the BPF programs, run on this kernel, say: deny by default/redis/ingress[0] (untracked, DROP_POLICY)",
        "error: one of the two is wrong: a bug in pyxdp",
        "hint: please report it with the manifests and --json",
    ]
