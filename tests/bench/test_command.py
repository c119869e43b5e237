"""``python -m bench``: one small part of it for real, and what it leaves."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from bench.scale import FULL, QUICK

ROOT = Path(__file__).parents[2]


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "bench", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=300)


@pytest.mark.usefixtures("kernel")
def test_figures_are_printed_and_written(tmp_path: Path) -> None:
    output = tmp_path / "bench.json"
    output.write_text(json.dumps({"services": {"kept": 1}}))
    done = run("quick", "--only", "verdicts", "--rules", "20", "--cidrs", "50", "--output", str(output))
    found = json.loads(output.read_text())
    # Whether bounds hold hangs on who else uses the machine.
    assert done.returncode == int(any(it["failed"] for it in found["verdicts"]))
    assert len(found["verdicts"]) == 5
    assert all(it["value"] for it in found["verdicts"])
    assert found["scale"] == "quick"
    assert found["errors"] == {}
    assert found["services"] == {"kept": 1}
    assert found["machine"]["kernel"]
    assert found["tools"]["iptables"].startswith("iptables v")
    for line in found["verdicts"]:
        assert line["title"] in done.stdout


@pytest.mark.usefixtures("kernel")
def test_a_part_that_fails_is_told(tmp_path: Path) -> None:
    output = tmp_path / "bench.json"
    output.write_text(json.dumps({"verdicts": [], "flows": [1]}))
    done = run("quick", "--only", "verdicts", "--cidrs", "-1", "--output", str(output))
    found = json.loads(output.read_text())
    assert done.returncode == 1
    assert "ValueError" in found["errors"]["verdicts"]
    assert "error: verdicts: " in done.stderr
    assert "verdicts" not in found
    assert found["flows"] == [1]


def test_quick_measures_every_target_of_full() -> None:
    assert (QUICK.size.rules, QUICK.size.prefixes) == (FULL.size.rules, FULL.size.prefixes)
    assert QUICK.size.rounds >= 5
    assert set(QUICK.rules) < set(FULL.rules)
    assert set(QUICK.prefixes) < set(FULL.prefixes)


def test_sizes_can_be_cut() -> None:
    cut = FULL.limited(100, 1000)
    assert (cut.size.rules, cut.size.prefixes, cut.flows.rules) == (100, 1000, 100)
    assert cut.rules == (1, 10, 100)
    assert cut.prefixes == (1, 10, 100, 1000)
    assert FULL.limited(None, None) == FULL
