"""``pyxdp bench``: figures of generated policies, and of one's own; the machine stays as it is."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from tests.cli.test_documentation import documented, members

if TYPE_CHECKING:
    from tests.cli.machine import Machine

SMALL = ("--rules", "20", "--cidrs", "50", "--rounds", "1")
OPEN = ("machine.", "lines[].detail.", "endpoints[].seconds.", "endpoints[].instructions.")


def test_generated_policies(governed: Machine) -> None:
    before = governed.traces()
    done = governed.run("bench", *SMALL, "--json")
    found = json.loads(done.stdout)
    # Whether bounds hold hangs on who else uses the machine.
    assert done.returncode == int(any(it["failed"] for it in found["lines"]))
    assert len(found["lines"]) == 5
    assert all(it["value"] > 0 for it in found["lines"][:4])
    assert {it for it in members(found) if not it.startswith(OPEN)} <= documented("pyxdp bench --json")
    assert governed.traces() == before


def test_own_policy(governed: Machine, manifest: str) -> None:
    before = governed.traces()
    found = governed.json("bench", manifest, "--node", "host", "--rounds", "1")
    (endpoint,) = found["endpoints"]
    assert (endpoint["interface"], endpoint["endpoint"]) == (governed.end.name, "hep")
    assert endpoint["floor"] > 0
    assert endpoint["memory"] > 0
    assert {it for it in members(found) if not it.startswith(OPEN)} <= documented("pyxdp bench --json")
    assert governed.traces() == before


def test_sizes_are_of_generated_policies_only(governed: Machine, manifest: str) -> None:
    done = governed.run("bench", manifest, "--node", "host", "--cidrs", "50")
    assert done.returncode == 2
    assert done.stderr.startswith("error: --cidrs is the size of generated policies")


def test_for_people(governed: Machine, manifest: str) -> None:
    done = governed.run("bench", manifest, "--node", "host", "--rounds", "1")
    assert done.returncode == 0
    head, row = done.stdout.splitlines()
    assert head.split()[:3] == ["INTERFACE", "ENDPOINT", "NS/PACKET"]
    assert row.split()[:2] == [governed.end.name, "hep"]
