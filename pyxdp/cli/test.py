"""``pyxdp test``."""

from __future__ import annotations

import errno
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

import click

import pyxdp
from pyxdp.cases import read_cases
from pyxdp.cli import junit as report
from pyxdp.cli.commands import FILES
from pyxdp.cli.commands import command as make_command
from pyxdp.cli.output import plural
from pyxdp.cli.progress import Bar
from pyxdp.errors import BpfError, ManifestError, OperatorError
from pyxdp.manifest.nodes import shorten

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pyxdp.cases import Case, CaseResult, EngineChoice
    from pyxdp.cli.commands import Settings
    from pyxdp.cli.output import Output
    from pyxdp.manifest import Manifest
    from pyxdp.model import Origin
    from pyxdp.trial import Judgement, RuleName

_EXIT_CODES: Final = """\b
Exit codes:
  0    every case passed
  1    a case failed; with an error message: a bug in pyxdp
  2    what you wrote is wrong: cases, manifests, command line
  3    the machine is not ready: privileges, BPF
  130  ended by Ctrl-C, 143 by SIGTERM
"""
_A_CASE_FAILED: Final = 1
_REFUSED: Final = (errno.EPERM, errno.EACCES)
_ALONE: Final = "run as root, on Linux 5.12 or newer; --engine evaluator needs neither"
_LONGEST_NAME: Final = 500
_FILE: Final = ("-f", "--filename")
_WITH_VALUE: Final = (*_FILE, "--engine", "--junit")


class _Command(click.Command):
    """Takes what a shell makes of ``cases.yaml -f policy/*.yaml``: one -f, and several files."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        return super().parse_args(ctx, list(_spread(args)))


def _spread(arguments: Iterable[str]) -> Iterator[str]:
    """Put a -f in front of each further file behind -f, once there are cases in front of it."""
    cases = policies = False
    rest = iter(arguments)
    for argument in rest:
        if argument.startswith("-") and argument != "-":
            policies = cases and argument in _FILE
            yield argument
            if argument in _WITH_VALUE:
                yield from (value for value in (next(rest, None),) if value is not None)
        elif policies:
            yield from ("-f", argument)
        else:
            cases = True
            yield argument


@make_command(
    click.argument("cases", nargs=-1, metavar="CASES..."),
    *FILES,
    click.option(
        "--engine",
        type=click.Choice(["programs", "evaluator", "both"]),
        default="both",
        show_default=True,
        help="Who judges; both must agree.",
    ),
    click.option(
        "--junit",
        type=click.Path(path_type=Path, dir_okay=False),
        metavar="FILE",
        help="Also write the results as JUnit XML.",
    ),
    click.option("-v", "--verbose", is_flag=True, help="Also show the cases that passed."),
    name="test",
    cls=_Command,
    epilog=_EXIT_CODES,
)
def command(
    settings: Settings, cases: tuple[str, ...], *, engine: EngineChoice, junit: Path | None, verbose: bool
) -> None:
    """Test policy: what becomes of packets, and is that what should?

    CASES name packets and what policy should make of them; the manifests named with -f are the policy. The real BPF
    programs are run on every packet, and an evaluator that shares nothing with them is asked too. No interface is
    needed, and nothing is changed. The format is in docs/policy-tests.md.
    """
    if not cases:
        raise click.UsageError("no cases: name files or folders, or - for standard input")
    if junit is not None and not junit.parent.is_dir():
        raise click.UsageError(f"--junit: there is no folder {junit.parent} to write {junit.name} to")
    manifest, found = _read(settings, cases)
    timed = []
    with Bar("judging") as bar:
        for number, (result, seconds) in enumerate(_timed(manifest, found, engine), start=1):
            timed.append((result, seconds))
            bar.update(number / len(found), shorten(result.case.name))
    results = [result for result, _ in timed]
    for notice in manifest.notices:
        settings.output.notice(notice)
    _tell(settings.output, results, verbose=verbose)
    if junit is not None:
        report.write(junit, timed)
    settings.output.document(_as_json(results, engine, manifest))
    if not all(result.passed for result in results):
        raise click.exceptions.Exit(_A_CASE_FAILED)


def _read(settings: Settings, paths: tuple[str, ...]) -> tuple[Manifest, tuple[Case, ...]]:
    """Read policy and cases; what is wrong in either is told together.

    Raises:
        ManifestError: something is wrong.
    """
    if not settings.paths:
        raise click.UsageError("no policy: name its files or folders with -f")
    try:
        manifest = settings.load()
    except ManifestError as error:
        raise ManifestError([*error.problems, *read_cases(paths, None).problems]) from None
    return manifest, pyxdp.load_cases(paths, manifest.resources)


def _timed(manifest: Manifest, cases: tuple[Case, ...], engine: EngineChoice) -> Iterator[tuple[CaseResult, float]]:
    """Yield results with the seconds that each took; making ready counts to the first."""
    begun = monotonic()
    try:
        for result in pyxdp.test(manifest.resources, cases, engine=engine):
            now = monotonic()
            yield result, now - begun
            begun = monotonic()
    except (BpfError, OperatorError) as error:
        why = "missing privileges" if getattr(error, "errno", 0) in _REFUSED else error.message
        message = f"the BPF programs can not be run here: {why}"
        raise OperatorError(message, hint=_ALONE) from error


def _tell(output: Output, results: list[CaseResult], *, verbose: bool) -> None:
    for result in results:
        title = f"{result.case.origin}: {shorten(result.case.name, _LONGEST_NAME)}"
        if not result.passed:
            output.line(f"{click.style('FAILED', fg='red', bold=True)} {title}: {result.failure}")
        elif verbose:
            output.line(f"{click.style('passed', fg='green')} {title}: {result.outcome}")
    failed = sum(not result.passed for result in results)
    output.line(f"{plural(len(results), 'case')}: {len(results) - failed:,} passed, {failed:,} failed")


def _as_json(results: list[CaseResult], engine: str, manifest: Manifest) -> dict[str, Any]:
    failed = sum(not result.passed for result in results)
    return {
        "engine": engine,
        "passed": len(results) - failed,
        "failed": failed,
        "cases": [_case_json(result) for result in results],
        "notices": list(manifest.notices),
    }


def _case_json(result: CaseResult) -> dict[str, Any]:
    case = result.case
    return {
        "name": case.name,
        "file": case.origin.file,
        "line": case.origin.line,
        "endpoint": case.endpoint,
        "direction": case.direction.value.lower(),
        "path": case.context.path.value,
        "stage": case.stage.value,
        "expect": case.expect.value,
        "expect_untracked": case.untracked,
        "passed": result.passed,
        "failure": result.failure,
        **_judgement_json(result.judgement, result.origin),
        "engines": {name: _judgement_json(it, result.origins[name]) for name, it in result.judgements.items()},
    }


def _judgement_json(judgement: Judgement, origin: Origin) -> dict[str, Any]:
    rule = judgement.rule
    return {
        "verdict": judgement.verdict.value,
        "untracked": judgement.untracked,
        "class": judgement.policy_class.value,
        "tier": rule.tier if rule else "",
        "kind": rule.kind if rule else "",
        "policy": rule.policy if rule else "",
        "rule": rule.number if rule else None,
        "rule_direction": rule.direction if rule else "",
        "action": rule.action if rule else "",
        "rule_file": origin.file,
        "rule_line": origin.line,
        "reason": judgement.reason,
        "hook": judgement.hook,
        "logs": [_rule_json(log) for log in judgement.logs],
    }


def _rule_json(rule: RuleName) -> dict[str, Any]:
    return {
        "tier": rule.tier,
        "kind": rule.kind,
        "policy": rule.policy,
        "rule": rule.number,
        "rule_direction": rule.direction,
    }
