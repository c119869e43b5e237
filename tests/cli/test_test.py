"""``pyxdp test``: unit tests for policy."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

import pytest

import pyxdp
from tests.cli.inside import run_inside
from tests.cli.machine import PYXDP, policy
from tests.cli.test_explain import endpoint

if TYPE_CHECKING:
    from tests.cli.inside import Done

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
#: Privileges that running the programs needs, taken away.
#: Root still, because nobody else may be allowed to read the checkout.
WITHOUT_RIGHTS = ("setpriv", "--bounding-set=-all", "--inh-caps=-all")
ALLOWED = "{name: Redis, endpoint: hep, packet: {protocol: TCP, dport: 6379}, expect: allow, untracked: true}"
DENIED = "{name: web, endpoint: hep, packet: {protocol: TCP, dport: 80}, expect: deny}"
MEMBERS = ("verdict", "untracked", "tier", "policy", "rule", "rule_file", "rule_line", "reason", "hook")
WRONG = "{name: wrong, endpoint: hep, packet: {protocol: TCP, dport: 80}, expect: allow}"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the command runs: ``policy.yaml`` takes Redis out of conntrack and closes the rest."""
    (tmp_path / "policy.yaml").write_text(endpoint() + policy())
    return tmp_path


def write(folder: Path, *cases: str, name: str = "cases.yaml") -> str:
    (folder / name).write_text("cases:\n" + "".join(f"  - {case}\n" for case in cases))
    return name


def run(folder: Path, *arguments: str, before: tuple[str, ...] = (), stdin: str = "") -> Done:
    if not before:
        return run_inside(folder, "test", *arguments, stdin=stdin)
    command = [*before, PYXDP, "test", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, input=stdin)


def run_json(folder: Path, *arguments: str) -> Any:
    return json.loads(run(folder, *arguments, "--json").stdout)


@pytest.mark.usefixtures("kernel")
def test_all_pass(folder: Path) -> None:
    done = run(folder, write(folder, ALLOWED, DENIED), "-f", "policy.yaml")
    assert (done.returncode, done.stdout, done.stderr) == (0, "2 cases: 2 passed, 0 failed\n", "")


@pytest.mark.usefixtures("kernel")
def test_a_case_fails(folder: Path) -> None:
    done = run(folder, write(folder, ALLOWED, WRONG), "-f", "policy.yaml")
    assert done.returncode == 1
    assert done.stdout == (
        "FAILED cases.yaml:3: wrong: expected allow, "
        "got deny by HostEndpoint/hep at policy.yaml:3 (normal, DROP_POLICY)\n"
        "2 cases: 1 passed, 1 failed\n"
    )


@pytest.mark.usefixtures("kernel")
def test_expected_to_stay_in_conntrack(folder: Path) -> None:
    done = run(folder, write(folder, ALLOWED.replace("true", "false")), "-f", "policy.yaml")
    assert done.returncode == 1
    assert "expected allow tracked, got allow untracked by default/redis/ingress[0] at policy.yaml:9" in done.stdout


@pytest.mark.usefixtures("kernel")
def test_verbose(folder: Path) -> None:
    done = run(folder, write(folder, ALLOWED), "-f", "policy.yaml", "-v")
    assert done.stdout.splitlines()[0] == (
        "passed cases.yaml:2: Redis: allow untracked by default/redis/ingress[0] at policy.yaml:9 "
        "(untracked, PASS_ALLOWED)"
    )


@pytest.mark.usefixtures("kernel")
@pytest.mark.parametrize("example", ["blocklist", "gateway", "redis", "server"])
def test_examples(example: str) -> None:
    done = run(EXAMPLES, f"{example}/tests.yaml", "-f", example)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.usefixtures("kernel")
def test_json(folder: Path) -> None:
    found = run_json(folder, write(folder, ALLOWED, WRONG), "-f", "policy.yaml")
    assert (found["passed"], found["failed"], found["engine"]) == (1, 1, "both")
    first, second = found["cases"]
    assert first["passed"]
    assert {name: first[name] for name in MEMBERS} == {
        "verdict": "allow",
        "untracked": True,
        "tier": "default",
        "policy": "redis",
        "rule": 0,
        "rule_file": "policy.yaml",
        "rule_line": 9,
        "reason": "PASS_ALLOWED",
        "hook": "raw PREROUTING",
    }
    assert (second["passed"], second["verdict"], second["expect"], second["kind"]) == (
        False,
        "deny",
        "allow",
        "HostEndpoint",
    )
    assert set(first["engines"]) == {"programs", "evaluator"}


@pytest.mark.usefixtures("kernel")
def test_junit(folder: Path) -> None:
    cases = write(folder, ALLOWED, WRONG.replace("wrong", '"<wrong> \\x07"'))
    run(folder, cases, write(folder, DENIED, name="more.yaml"), "-f", "policy.yaml", "--junit", "report.xml")
    root = ET.parse(folder / "report.xml").getroot()  # noqa: S314 - our own file
    assert (root.tag, root.attrib["tests"], root.attrib["failures"]) == ("testsuites", "3", "1")
    assert [(suite.attrib["name"], suite.attrib["tests"], suite.attrib["failures"]) for suite in root] == [
        ("cases.yaml", "2", "1"),
        ("more.yaml", "1", "0"),
    ]
    failed = root[0][1]
    assert failed.attrib["name"] == "<wrong> \ufffd"
    assert failed[0].tag == "failure"
    assert "expected allow, got deny" in failed[0].attrib["message"]


def test_junit_into_a_folder_that_is_not_there(folder: Path) -> None:
    done = run(folder, write(folder, ALLOWED), "-f", "policy.yaml", "--junit", "missing/report.xml")
    assert (done.returncode, done.stdout) == (2, "")
    assert "--junit: there is no folder missing to write report.xml to" in done.stderr


@pytest.mark.usefixtures("kernel")
def test_results_are_told_also_when_the_report_can_not_be_written(folder: Path) -> None:
    done = run(folder, write(folder, ALLOWED), "-f", "policy.yaml", "--junit", "/dev/full")
    assert (done.returncode, done.stdout) == (3, "1 case: 1 passed, 0 failed\n")
    assert done.stderr == (
        "error: can not write /dev/full: No space left on device\nhint: name another file with --junit\n"
    )


def test_names_are_one_line_and_can_not_speak_to_terminals(folder: Path) -> None:
    cases = write(folder, WRONG.replace("wrong", '"a\\e[31m\\nb"'))
    done = run(folder, cases, "-f", "policy.yaml", "--engine", "evaluator")
    assert done.stdout.startswith(r"FAILED cases.yaml:2: a\x1b[31m\nb: expected allow, got deny")


@pytest.mark.parametrize("engine", ["programs", "both"])
def test_programs_need_privileges(folder: Path, engine: str) -> None:
    arguments = (write(folder, ALLOWED), "-f", "policy.yaml", "--engine")
    done = run(folder, *arguments, engine, before=WITHOUT_RIGHTS)
    assert done.returncode == 3
    assert "the BPF programs can not be run here: missing privileges" in done.stderr
    assert "--engine evaluator" in done.stderr
    assert run(folder, *arguments, "evaluator", before=WITHOUT_RIGHTS).returncode == 0


def test_all_problems_at_once(folder: Path) -> None:
    cases = write(folder, DENIED.replace("hep", "help"), DENIED.replace("TCP", "TCX"), "{name: nothing, endpoint: hep}")
    done = run(folder, cases, "-f", "policy.yaml", "--engine", "evaluator")
    assert done.returncode == 2
    assert done.stdout == ""
    errors = [line.removeprefix("error: cases.yaml:") for line in done.stderr.splitlines() if "error:" in line]
    beginnings = [
        "2:27: case web: $.cases[0].endpoint: there is no HostEndpoint `help`: did you mean `hep`?",
        "3:51: case web: $.cases[1].packet.protocol: must be one of TCP, UDP, ",
        "4:5: case nothing: $.cases[2].expect: is required: allow, deny or no-match",
        "4:5: case nothing: $.cases[2].packet: is required: what is judged; or `frame`",
    ]
    assert len(errors) == len(beginnings)
    for error, beginning in zip(errors, beginnings, strict=True):
        assert error.startswith(beginning)


def test_problems_of_policy_and_cases_together(folder: Path) -> None:
    (folder / "policy.yaml").write_text("{apiVersion: projectcalico.org/v3, kind: Tier}")
    done = run(folder, write(folder, DENIED.replace("deny", "drop")), "-f", "policy.yaml", "--engine", "evaluator")
    assert done.returncode == 2
    assert "policy.yaml:1:" in done.stderr
    assert "must be one of allow, deny, no-match, not `drop`" in done.stderr
    assert "HostEndpoint" not in done.stderr


def test_a_policy_among_the_cases(folder: Path) -> None:
    done = run(folder, "policy.yaml", "-f", "policy.yaml", "--engine", "evaluator")
    assert done.returncode == 2
    assert "$.kind: is of a manifest: name the files of the policy with -f" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "no cases"),
        (["cases.yaml"], "no policy: name its files or folders with -f"),
        (["cases.yaml", "-f"], "requires an argument"),
    ],
    ids=["nothing", "no policy", "half an option"],
)
def test_command_line(folder: Path, arguments: list[str], message: str) -> None:
    write(folder, DENIED)
    done = run(folder, *arguments)
    assert done.returncode == 2
    assert message in done.stderr


def test_what_a_shell_makes_of_a_pattern(folder: Path) -> None:
    """One -f and several files: those behind it are policy, once there are cases in front of it."""
    (folder / "endpoint.yaml").write_text(endpoint())
    (folder / "redis.yaml").write_text(policy())
    cases = write(folder, DENIED)
    evaluator = ["--engine", "evaluator"]
    assert run(folder, cases, "-f", "endpoint.yaml", "redis.yaml", *evaluator).returncode == 0
    assert run(folder, cases, *evaluator, "--filename", "endpoint.yaml", "redis.yaml", "-v").returncode == 0
    assert run(folder, "-f", "endpoint.yaml", "-f", "redis.yaml", cases, *evaluator).returncode == 0
    assert run(folder, "-", "-f", "endpoint.yaml", *evaluator, stdin=(folder / cases).read_text()).returncode == 0


@pytest.mark.usefixtures("kernel")
def test_from_python(folder: Path) -> None:
    resources = pyxdp.load([folder / "policy.yaml"]).resources
    cases = pyxdp.load_cases([folder / write(folder, ALLOWED, WRONG)], resources)
    results = list(pyxdp.test(resources, cases))
    assert [result.passed for result in results] == [True, False]
    assert {engine: it.verdict.value for engine, it in results[0].judgements.items()} == {
        "programs": "allow",
        "evaluator": "allow",
    }


def test_from_python_without_the_endpoint(folder: Path) -> None:
    resources = pyxdp.load([folder / "policy.yaml"]).resources
    case = pyxdp.load_cases([folder / write(folder, DENIED)], resources)[0]
    with pytest.raises(pyxdp.PyxdpError, match="there is no HostEndpoint `hep`: there are none"):
        list(pyxdp.test(pyxdp.Resources(), [case], engine="evaluator"))
