"""One set of names: what is scraped, what ``docs/metrics.md`` lists, and what the dashboard asks for."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pyxdp.metrics.catalogue import CATALOGUE, Family
from tests.metrics.test_agent import VIEW
from tests.veth.host import open_endpoint, service

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.metrics.scraping import Scraped
    from tests.veth.host import Host

ROOT = Path(__file__).resolve().parents[2]
NAME = re.compile(r"\bpyxdp_\w+")
#: An alert's or a panel's selector: a name, and the labels that it is narrowed down by.
SELECTOR = re.compile(r"(pyxdp_\w+)\{([^}]*)\}")
LABEL = re.compile(r"(\w+)\s*=")
BY = re.compile(r"\bby \(([^)]*)\) \(\w*\(?(pyxdp_\w+)")
#: Labels that Prometheus itself adds, and the one of a histogram's buckets.
FOREIGN = {"instance", "job", "le"}


def samples_of(family: Family) -> set[str]:
    """Names of a family's samples."""
    if family.kind == "histogram":
        return {f"{family.name}_{part}" for part in ("bucket", "sum", "count")}
    return {family.name}


FAMILY_OF = {name: family for family in CATALOGUE for name in samples_of(family)}


def test_all_that_is_told_is_in_the_catalogue(host: Host, scraped: Scraped) -> None:
    host.track_everything()
    host.apply(open_endpoint(host.end.name) + service(6379))
    scraped.view = VIEW
    assert host.can_talk("tcp", 6379)
    found = scraped.samples()
    assert {name for name in found.names if not name.endswith("_created")} == set(FAMILY_OF)
    for name in found.names:
        for labels in found.labels(name):
            assert labels.keys() - {"le"} == set(FAMILY_OF[name].labels), name


def test_the_page_lists_them() -> None:
    rows = re.findall(
        r"^\| `(pyxdp_\w+)` \| (\w+) \| ([^|]*)\| (.*) \|$", (ROOT / "docs/metrics.md").read_text(), re.MULTILINE
    )
    assert [(name, kind, tuple(re.findall(r"\w+", labels)), text) for name, kind, labels, text in rows] == [
        (family.name, family.kind, family.labels, family.help) for family in CATALOGUE
    ]


def test_the_page_speaks_of_no_others() -> None:
    known = FAMILY_OF.keys() | {family.name for family in CATALOGUE}
    assert set(NAME.findall((ROOT / "docs/metrics.md").read_text())) <= known


def test_names_say_what_kind_they_are() -> None:
    assert [it.name for it in CATALOGUE if (it.kind == "counter") is not it.name.endswith("_total")] == []
    assert len({it.name for it in CATALOGUE}) == len(CATALOGUE)


def dashboard() -> Any:
    return json.loads((ROOT / "deploy/grafana/pyxdp.json").read_text())


def expressions() -> Iterator[str]:
    for panel in dashboard()["panels"]:
        for target in panel["targets"]:
            yield target["expr"]


def test_the_dashboard_asks_for_names_that_there_are() -> None:
    asked = {name for expression in expressions() for name in NAME.findall(expression)}
    assert len(asked) > 15
    assert asked <= FAMILY_OF.keys()


def test_the_dashboard_asks_for_labels_that_there_are() -> None:
    asked = [
        (name, label)
        for expression in expressions()
        for name, labels in [
            *((name, LABEL.findall(inside)) for name, inside in SELECTOR.findall(expression)),
            *((name, re.findall(r"\w+", inside)) for inside, name in BY.findall(expression)),
        ]
        for label in labels
    ]
    assert ("pyxdp_dropped_packets_total", "reason") in asked
    assert [(name, label) for name, label in asked if label not in {*FAMILY_OF[name].labels, *FOREIGN}] == []


def test_the_dashboard_can_be_imported() -> None:
    found = dashboard()
    assert (found["title"], found["uid"]) == ("pyxdp", "pyxdp")
    numbers = [panel["id"] for panel in found["panels"]]
    assert len(set(numbers)) == len(numbers)
    places = {(x, y) for it in found["panels"] for x, y in _cells(it["gridPos"])}
    assert len(places) == sum(it["gridPos"]["w"] * it["gridPos"]["h"] for it in found["panels"])
    assert max(x for x, _ in places) < 24
    assert {it["datasource"]["uid"] for it in found["panels"]} == {"${datasource}"}
    assert {it["name"] for it in found["templating"]["list"]} == {"datasource", "instance"}


def _cells(place: dict[str, int]) -> Iterator[tuple[int, int]]:
    for x in range(place["x"], place["x"] + place["w"]):
        for y in range(place["y"], place["y"] + place["h"]):
            yield x, y
