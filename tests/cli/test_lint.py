"""What check and apply show of what lint finds."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from tests.cli.inside import run_inside
from tests.cli.machine import Machine, endpoint, policy

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.inside import Done

ALLOW = {"action": "Allow"}
AT_HOST = ("--node", "host")


def check(folder: Path, text: str, *options: str) -> Done:
    """The command on this machine, which has none of the interfaces."""
    (folder / "policy.yaml").write_text(text)
    return run_inside(folder, "check", "policy.yaml", *AT_HOST, *options)


def shadowed(count: int) -> str:
    """A policy of which the first rule takes everything from the others."""
    rules: list[dict[str, Any]] = [ALLOW, *({"action": "Deny", "protocol": number} for number in range(1, count + 1))]
    return policy("web", ingress=rules, egress=[ALLOW], doNotTrack=False)


def test_check_shows_place_packet_and_code(tmp_path: Path) -> None:
    done = check(tmp_path, endpoint("eth0") + shadowed(1))
    assert done.returncode == 0
    line = next(line for line in done.stderr.splitlines() if "shadowed-rule" in line)
    assert re.fullmatch(
        r"warning: policy\.yaml:9: GlobalNetworkPolicy/web: ingress\[1\]: Deny never decides anything: "
        r"default/web ingress\[0\] \(policy\.yaml:9\) takes all its packets before; for example "
        r"ICMP type 8 code 0 198\.51\.100\.7 -> 192\.0\.2\.10 \(ingress\) is allowed by default/web ingress\[0\] "
        r"\(policy\.yaml:9\) \[shadowed-rule\]",
        line,
    )


def test_warnings_fail_a_strict_check_and_notices_do_not(tmp_path: Path) -> None:
    assert check(tmp_path, endpoint("eth0") + shadowed(1), "--strict").returncode == 1
    done = check(tmp_path, endpoint("eth0") + policy(), "--strict")
    assert done.returncode == 0
    assert "[open-failsafe]" in done.stderr


def test_check_as_json(tmp_path: Path) -> None:
    done = check(tmp_path, endpoint("eth0") + shadowed(1), "--strict", "--json")
    assert done.returncode == 1
    found = json.loads(done.stdout)["findings"]
    assert [it["code"] for it in found] == ["open-failsafe", "shadowed-rule"]
    assert found[1].pop("text")
    assert found[1] == {
        "code": "shadowed-rule",
        "severity": "warning",
        "file": "policy.yaml",
        "line": 9,
        "object": "GlobalNetworkPolicy/web: ingress[1]",
        "others": 0,
        "packet": {
            "protocol": "ICMP",
            "src": "198.51.100.7",
            "dst": "192.0.2.10",
            "icmp": {"type": 8, "code": 0},
        },
        "endpoint": "hep",
        "direction": "ingress",
        "path": "local",
        "outcome": "is allowed by default/web ingress[0] (policy.yaml:9)",
    }


def test_a_rule_that_never_matches_is_told_once(tmp_path: Path) -> None:
    rule = {"action": "Allow", "source": {"selector": "role == 'nobody'"}}
    done = check(tmp_path, endpoint("eth0") + policy(ingress=[rule], egress=[]))
    assert [line for line in done.stderr.splitlines() if "selects no address" in line] == [
        line for line in done.stderr.splitlines() if "[never-matches]" in line
    ]


def test_apply_shows_the_first_warnings(machine: Machine) -> None:
    machine.write("policy.yaml", endpoint(machine.end.name) + shadowed(8))
    done = machine.run("apply", "policy.yaml", *AT_HOST, "--dry-run")
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("[shadowed-rule]") == 5
    assert "warning: 3 more warnings: see pyxdp check\n" in done.stderr
    assert "notice: " not in done.stderr
