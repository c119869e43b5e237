"""All checks together, and silence where it was asked for."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from pyxdp.lint.directions import find_directions
from pyxdp.lint.endpoints import find_endpoints
from pyxdp.lint.failsafes import find_failsafes
from pyxdp.lint.finding import Code, Finding, Severity
from pyxdp.lint.nodeports import find_nodeports
from pyxdp.lint.peers import find_peers
from pyxdp.lint.returns import find_returns
from pyxdp.lint.rules import find_rules
from pyxdp.lint.silence import Silence
from pyxdp.lint.survey import Survey
from pyxdp.lint.world import make_world

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pyxdp.model import Resources

#: Comparisons of intervals and boxes: seconds of work. A thousand rules of one endpoint need about a million.
EFFORT: Final = 20_000_000

_CHECKS: Final = (
    find_rules,
    find_directions,
    find_returns,
    find_peers,
    find_failsafes,
    find_nodeports,
    find_endpoints,
)


def lint(resources: Resources, *, effort: int = EFFORT) -> tuple[Finding, ...]:
    """Look for what is valid and probably not meant: for every host endpoint of every node, on any machine.

    What is said is true: that a rule is shadowed or never matches is decided on the sets of packets, not on samples,
    and every example gets what its outcome says. What is not said may still be so: policy of which the sets are too
    many is given up in part.

    Args:
        resources: of the whole cluster.
        effort: how much to compute before the rest is given up.

    Returns:
        Findings sorted by file, line and code; none that an annotation asks to be silent about. The code ``gave-up``
        is among them when ``effort`` did not suffice.

    Raises:
        UnsupportedPolicyError: a configuration that can not be understood.
        SelectorSyntaxError: a selector that was not checked when the resource was made.
    """
    world = make_world(resources)
    survey = Survey(world, effort)
    silence = Silence(resources)
    found = [
        *(finding for check in _CHECKS for finding in check(survey)),
        *(silence.located(_refused(name, reason)) for name, reason in world.refused),
        *silence.unknown(),
        *_given_up(survey),
    ]
    wanted = sorted((finding for finding in found if not silence.covers(finding)), key=_rank)
    return tuple(_merged(wanted))


def _merged(findings: Iterable[Finding]) -> Iterator[Finding]:
    """Say once what is to be said of several host endpoints."""
    alike: dict[object, list[Finding]] = defaultdict(list)
    for finding in findings:
        of_endpoint = finding.subject.startswith("HostEndpoint/")
        alike[(finding.code, finding.severity, finding.text) if of_endpoint else id(finding)].append(finding)
    for first, *others in alike.values():
        yield replace(first, others=first.others + sum(1 + it.others for it in others))


def _rank(finding: Finding) -> tuple[str, int, str, str, str]:
    return finding.origin.file, finding.origin.line, finding.code.value, finding.subject, finding.text


def _refused(name: str, reason: str) -> Finding:
    return Finding(code=Code.REFUSED_POLICY, subject=name, text=f"will be refused where it applies: {reason}")


def _given_up(survey: Survey) -> Iterator[Finding]:
    if survey.effort.exhausted:
        text = "too many addresses and rules to compare all of them: some mistakes may not be found"
        yield Finding(code=Code.GAVE_UP, severity=Severity.NOTICE, subject="lint", text=text)
