"""``make fuzz`` in short."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_a_short_run_finds_nothing() -> None:
    environment = {**os.environ, "FUZZ_SEED": "5", "FUZZ_SECONDS": "1", "FUZZ_PROCESSES": "1"}
    run = subprocess.run(
        [sys.executable, "-m", "tests.fuzz"], env=environment, cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert run.stdout.startswith("FUZZ_SEED=5: 1 processes, 1 s at most\n")
    assert run.stdout.endswith(", 0 differences\n")
