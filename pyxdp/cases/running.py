"""Judging cases."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING, Literal, TypeAlias

from pyxdp.cases.endpoints import NoEndpointError, TestedEndpoints
from pyxdp.cases.evaluating import Evaluators
from pyxdp.cases.origins import Origins
from pyxdp.cases.values import CaseResult
from pyxdp.errors import ManifestError, OperatorError, Problem
from pyxdp.trial import Stage, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from pyxdp.cases.endpoints import TestedEndpoint
    from pyxdp.cases.evaluating import Judge
    from pyxdp.cases.programs import Programs
    from pyxdp.cases.values import Case, Engine
    from pyxdp.model import Resources
    from pyxdp.trial import Judgement

EngineChoice: TypeAlias = Literal["programs", "evaluator", "both"]


def run_cases(cases: Sequence[Case], resources: Resources, engine: EngineChoice) -> Iterator[CaseResult]:
    """Judge every case, one after the other.

    Args:
        cases: each names a host endpoint.
        resources: the policy.
        engine: who judges.

    Raises:
        ManifestError: a case names no endpoint that governs an interface.
        UnsupportedPolicyError: a rule in use can not be enforced by any version.
        CapacityError: the policy is too large.
        BpfError: the programs can not be run here.
        OperatorError: there is no libbpf.
    """
    endpoints = _endpoints(cases, resources)
    judges: dict[Engine, Judge] = {}
    with ExitStack() as stack:
        if engine != "evaluator":
            judges["programs"] = stack.enter_context(_programs(endpoints))
        if engine != "programs":
            judges["evaluator"] = Evaluators(resources, endpoints)
        origins = {name: Origins(it.endpoint.metadata.origin, it.policy) for name, it in endpoints.items()}
        for case in cases:
            judgements = {name: _settled(judge.judge(case), case) for name, judge in judges.items()}
            places = {name: origins[case.endpoint].of(it.rule) for name, it in judgements.items()}
            yield CaseResult(case=case, judgements=judgements, origins=places)


def _programs(endpoints: Mapping[str, TestedEndpoint]) -> Programs:
    try:
        from pyxdp.cases.programs import Programs  # noqa: PLC0415 - the evaluator works where there is no libbpf
    except ImportError as error:
        raise OperatorError(f"libbpf can not be used: {error}", hint="install the distribution's libbpf") from error
    return Programs(endpoints)


def _settled(judgement: Judgement, case: Case) -> Judgement:
    """Say of a packet that all classes leave alone that it passes; only earlier stages leave something open."""
    if judgement.verdict is Verdict.NO_MATCH and case.stage is Stage.ALL and case.expect is not Verdict.NO_MATCH:
        return replace(judgement, verdict=Verdict.ALLOW)
    return judgement


def _endpoints(cases: Sequence[Case], resources: Resources) -> dict[str, TestedEndpoint]:
    known = TestedEndpoints(resources)
    problems = [problem for case in cases if (problem := _problem(case, known))]
    if problems:
        raise ManifestError(problems)
    return {case.endpoint: known[case.endpoint] for case in cases}


def _problem(case: Case, known: TestedEndpoints) -> Problem | None:
    try:
        known[case.endpoint]
    except NoEndpointError as error:
        return Problem(case.origin.file, case.origin.line, 1, f"case {case.name}", "$.endpoint", str(error))
    return None
