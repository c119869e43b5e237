"""A difference between the two readings: made small, and written down so that anybody can see it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pyxdp.errors import PyxdpError
from pyxdp.evaluator import Verdict
from tests.fuzz.shrinking import shrink
from tests.fuzz.writing import case_of, is_valid, write_cases, write_resources
from tests.verdicts.comparison import Comparison

if TYPE_CHECKING:
    from pathlib import Path

    from pyxdp.model import Resources
    from pyxdp.trial import TrialHost
    from tests.verdicts.boundaries import Question
    from tests.verdicts.table import Scenario


@dataclass(frozen=True, slots=True)
class Finding:
    """A packet that the two readings judge differently.

    Attributes:
        resources: what it is judged by.
        question: the packet.
        frame: that carries it, if the difference shows in an unusual one only.
    """

    resources: Resources
    question: Question
    frame: bytes | None = None


def differ(host: TrialHost, scenario: Scenario, finding: Finding) -> bool:
    """Tell whether the two readings of a packet differ: in the verdict, or in what decided."""
    comparison = Comparison(host, replace(scenario, resources=finding.resources), finding.question.interface)
    expected, found = comparison.readings(finding.question, finding.frame)
    return expected != found or not comparison.agree(finding.question)


def reduced(host: TrialHost, scenario: Scenario, finding: Finding, *, seconds: float = 60.0) -> Finding:
    """Make a difference small.

    Args:
        host: runs the programs.
        scenario: where it was found.
        finding: the difference.
        seconds: after which it is small enough.
    """

    def shows(candidate: Finding) -> bool:
        try:
            return differ(host, scenario, candidate) and is_valid(candidate.resources)
        except PyxdpError:
            return False

    return shrink(finding, shows, seconds=seconds)


def write(host: TrialHost, scenario: Scenario, finding: Finding, folder: Path, *, origin: str) -> None:
    """Write ``policies.yaml`` and ``cases.yaml`` for ``pyxdp test``.

    Args:
        host: runs the programs.
        scenario: where it was found.
        finding: what to write.
        folder: is created.
        origin: how it was found, for the first line.
    """
    comparison = Comparison(host, replace(scenario, resources=finding.resources), finding.question.interface)
    expected, found = comparison.readings(finding.question, finding.frame)
    endpoint = comparison.endpoint(finding.question.interface)
    evaluation = comparison.evaluate(finding.question)
    expect = {Verdict.NO_VERDICT: "no-match"}.get(evaluation.verdict, evaluation.verdict.value)
    case = case_of(finding.question, endpoint=endpoint, expect=expect, untracked=evaluation.untracked)
    if finding.frame is not None:
        case = {**case, "packet": None, "frame": finding.frame.hex()}
        case = {key: value for key, value in case.items() if value is not None}
    remarks = [
        f"found by {origin}",
        f"evaluator: {expected}",
        f"programs:  {found}",
        f"pyxdp test {folder / 'cases.yaml'} -f {folder / 'policies.yaml'}",
    ]
    if not endpoint:
        remarks.append("no host endpoint governs the interface, so that pyxdp test has no name for it")
    folder.mkdir(parents=True)
    (folder / "policies.yaml").write_text(write_resources(finding.resources), encoding="utf-8")
    text = "".join(f"# {remark}\n" for remark in remarks) + write_cases([case])
    (folder / "cases.yaml").write_text(text, encoding="utf-8")
