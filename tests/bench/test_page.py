"""The page and its plots, of figures that are made up."""

from __future__ import annotations

import json
import re
from itertools import pairwise
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

import pytest

from bench import page, tables
from bench.plot import Plot, Series
from pyxdp.bench.figures import Line

if TYPE_CHECKING:
    from pathlib import Path

LINES = [
    Line("verdict", 38.0, "ns", most=40, detail={"slow packet": 38.0}),
    Line("memory", 300.0, "MiB", most=256, samples=(299.0, 301.0)),
    Line("one address", None, note="this version can not"),
]


@pytest.fixture
def result() -> dict[str, Any]:
    points = [
        {"entries": 10, "run_ns": {"pyxdp": 35.0}, "frames_per_second": {"floor": 6e6, "pyxdp": 5e6}, "absent": {}},
        {
            "entries": 1000,
            "run_ns": {"pyxdp": 0.0},
            "frames_per_second": {"floor": 6e6, "pyxdp": 5e6, "ipset": 9e5},
            "absent": {"lpm": "no ports"},
        },
    ]
    machine = {"cpu": "a processor", "cpus": 2, "memory_mib": 4096, "system": "Debian", "kernel": "6.18"}
    machine |= {"pyxdp": "0.1", "python": "3.11", "numpy": "2.0", "load_before": 0.1}
    made = {
        "machine": machine,
        "tools": {"nft": "not installed"},
        "commit": "abc",
        "date": "2026-01-01",
        "scale": "full",
        "seconds": 600,
        "runs": {
            "verdicts": {"commit": "abc", "date": "2026-01-01", "scale": "full", "seconds": 9},
            "flows": {"commit": "old", "date": "2025-12-24", "scale": "quick", "seconds": 9},
        },
        "errors": {"lookup": "BpfError: refused"},
        "verdicts": [it.as_json() for it in LINES],
        "flows": [Line("acl-10, many", 50.0, "ns", detail={"compile": 0.5, "memory_mib": 6.0}).as_json()],
        "curves": {
            "titles": {"pyxdp": "pyxdp", "lpm": "LPM trie", "ipset": "ipset"},
            "rules": points,
            "prefixes": points,
        },
        "services": {
            "titles": {"conntrack": "stateful", "notrack": "nft"},
            "figures": {"conntrack": {"redis, requests/s": 50_000.4, "kept under the flood": 0.25}},
            "absent": {"notrack": "not installed: nft"},
            "memcached": "not installed: memcached",
        },
    }
    stored: dict[str, Any] = json.loads(json.dumps(made))  # as build/bench.json gives it back
    return stored


def test_the_page_has_every_figure(result: dict[str, Any], tmp_path: Path) -> None:
    text = page.write(result, tmp_path / "benchmarks.md", tmp_path / "benchmarks").read_text()
    assert "{{" not in text
    for expected in (
        "38 ns",
        "**not met**",
        "300 MiB",
        "299, 301",
        "this version can not",
        "a processor",
        "Linux 6.18",
    ):
        assert expected in text
    assert "lookup* could not be measured: BpfError: refused" in text
    assert re.search(r"^\| acl-10 +\| +50 ns \| +0.50 s \| +6.0 MiB \|$", text, re.MULTILINE)
    assert "- LPM trie is not in the table at 1,000 rules: no ports" in text
    assert re.search(r"^\| 1,000 +\| +6.00 M \| +5.00 M \| +0.900 M \|$", text, re.MULTILINE)
    assert "50,000" in text
    assert "25%" in text
    assert "- nft is not in the table: not installed: nft" in text
    assert "- memcached is not in the table: not installed: memcached" in text


def test_figures_of_another_run_are_named(result: dict[str, Any], tmp_path: Path) -> None:
    text = page.write(result, tmp_path / "benchmarks.md", tmp_path / "benchmarks").read_text()
    assert "The part *flows* is of another run: 2025-12-24, commit old, `quick`." in text
    assert "The part *verdicts*" not in text


def test_of_many_details_the_small_ones_are_left_out(result: dict[str, Any], tmp_path: Path) -> None:
    detail = {"large": 5000, "telling": 50} | {f"small {number}": number for number in range(20)}
    result["verdicts"] = [Line("instructions", 5000, most=9000, detail=detail).as_json()]
    text = page.write(result, tmp_path / "benchmarks.md", tmp_path / "benchmarks").read_text()
    assert "- **instructions** (number): large 5,000; telling 50\n" in text


def test_look_ups_have_a_table(result: dict[str, Any], tmp_path: Path) -> None:
    result["errors"] = {}
    result["lookup"] = [Line("IPv4, 10 CIDRs", 5.0, "ns").as_json()]
    text = page.write(result, tmp_path / "benchmarks.md", tmp_path / "benchmarks").read_text()
    assert re.search(r"^\| IPv4, 10 CIDRs \| +5 ns \|", text, re.MULTILINE)


def test_every_image_is_there_and_is_xml(result: dict[str, Any], tmp_path: Path) -> None:
    text = page.write(result, tmp_path / "benchmarks.md", tmp_path / "benchmarks").read_text()
    images = re.findall(r"\]\((benchmarks/[a-z-]+\.svg)\)", text)
    assert len(images) == 4
    for image in images:
        assert ET.fromstring((tmp_path / image).read_text()).tag.endswith("svg")  # noqa: S314 - written just now


def test_a_part_that_was_left_out_says_so(result: dict[str, Any], tmp_path: Path) -> None:
    for part in ("verdicts", "flows", "curves", "services"):
        del result[part]
    result["errors"]["services"] = "RuntimeError: no server"
    text = page.write(result, tmp_path / "benchmarks.md", tmp_path / "benchmarks").read_text()
    assert text.count("Not measured: left out of this run.") == 3
    assert "Not measured: RuntimeError: no server." in text
    assert "](benchmarks/" not in text


def test_old_plots_do_not_stay(result: dict[str, Any], tmp_path: Path) -> None:
    folder = tmp_path / "benchmarks"
    folder.mkdir()
    (folder / "old.svg").write_text("")
    page.write(result, tmp_path / "benchmarks.md", folder)
    assert not (folder / "old.svg").exists()


def test_lines_for_a_terminal() -> None:
    assert tables.lines(LINES).splitlines() == [
        "met     verdict: 38 ns  (target: <= 40 ns)",
        "NOT MET memory: 300 MiB  (target: <= 256 MiB)",
        "        one address: not measured",
        "          this version can not",
    ]


def test_names_of_curves_that_end_together_do_not_overlap() -> None:
    many = [Series(f"curve {number}", [(1, 10), (1000, 50 + number)], "#000000") for number in range(8)]
    drawn = ET.fromstring(Plot("many", "x", "y", many).svg())  # noqa: S314 - written just now
    texts = [it for it in drawn.iter() if it.tag.endswith("text") and (it.text or "").startswith("curve")]
    heights = sorted(float(it.attrib["y"]) for it in texts)
    assert len(heights) == 8
    assert all(later - earlier >= 17 for earlier, later in pairwise(heights))
    assert heights[-1] <= 440


def test_curves_lie_where_their_values_are() -> None:
    svg = Plot("it", "x", "y", [Series("one", [(1, 1), (100, 100)], "#000000")]).svg()
    assert 'points="76.0,388.0 628.0,46.0"' in svg


def test_nothing_can_not_be_plotted() -> None:
    with pytest.raises(ValueError, match="nothing to plot: it"):
        Plot("it", "x", "y", [Series("none", [], "#000000")]).svg()
