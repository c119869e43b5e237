"""An explanation as lines: the verdict and what decided first, then the way, one line a rule."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Final, NamedTuple

from pyxdp.evaluator import Reason, Verdict
from pyxdp.explanation.stages import NO_POLICY
from pyxdp.explanation.wording import VERDICTS, circumstances, decision, place, subject
from pyxdp.net.parse import Content

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from pyxdp.explanation.values import ClassAccount, Explanation, Look, RuleList, Stage

#: This many rules in a row that fail on the same condition are one line.
_SUMMED_FROM: Final = 3


class Style(NamedTuple):
    """How words are set off; by default not at all.

    Attributes:
        verdict: given the word and the verdict.
        strong: for what decided.
        faint: for places and what is less important.
    """

    verdict: Callable[[str, Verdict], str] = lambda word, _: word
    strong: Callable[[str], str] = str
    faint: Callable[[str], str] = str


def headline(explanation: Explanation, style: Style = Style()) -> str:  # noqa: B008 - immutable
    """Return the verdict with what decided."""
    word = style.verdict(VERDICTS[explanation.verdict], explanation.verdict)
    untracked = " untracked" if explanation.untracked else ""
    return f"{word}{untracked}  {style.strong(decision(explanation))}"


def lines(
    explanation: Explanation,
    style: Style = Style(),  # noqa: B008 - immutable
    *,
    verbose: bool = False,
) -> Iterator[str]:
    """Go through the lines that tell an explanation.

    Args:
        explanation: what to tell.
        style: how words are set off.
        verbose: every rule on a line of its own, and every policy that had no part.
    """
    yield headline(explanation, style)
    yield f"{subject(explanation)}, {circumstances(explanation)}"
    if explanation.governance and (explanation.classes or explanation.content is not Content.FLOW):
        yield style.faint(explanation.governance)
    for account in explanation.classes:
        if verbose or not _is_empty(account):
            yield ""
        yield from _class_lines(account, style, verbose=verbose)
    yield from _bystander_lines(explanation, style, verbose=verbose)


def _class_lines(account: ClassAccount, style: Style, *, verbose: bool) -> Iterator[str]:
    word = "no verdict" if account.verdict is Verdict.NO_VERDICT else VERDICTS[account.verdict]
    hooks = ", ".join(account.hooks)
    title = f"{account.policy_class.value} ({hooks}): {style.verdict(word, account.verdict)}"
    if _is_empty(account) and not verbose:
        yield f"{title}, {NO_POLICY}"
        return
    yield title
    for stage in account.stages:
        yield from _stage_lines(stage, style, verbose=verbose)


def _is_empty(account: ClassAccount) -> bool:
    """Tell whether a class holds no policy and nothing else decided in it."""
    return account.reason is Reason.NO_MATCH and not any(stage.lists for stage in account.stages)


def _stage_lines(stage: Stage, style: Style, *, verbose: bool) -> Iterator[str]:
    outcome = style.strong(stage.outcome) if stage.decides else stage.outcome
    if not stage.lists:
        yield f"  {stage.title}: {outcome}{_where(stage, style)}"
        return
    yield f"  {stage.title}{_where(stage, style)}"
    for rules in stage.lists:
        yield from _list_lines(rules, style, verbose=verbose)
    if stage.outcome:
        yield f"    {outcome}"


def _where(stage: Stage, style: Style) -> str:
    return style.faint(f", {stage.origin}") if str(stage.origin) else ""


def _list_lines(rules: RuleList, style: Style, *, verbose: bool) -> Iterator[str]:
    empty = "" if rules.total else " has no rule in this direction"
    yield f"    {rules.kind}/{rules.name}{empty}{style.faint(f', {place(rules.origin)}')}"
    for group in _groups(rules.looks, verbose=verbose):
        yield f"      {_summary(group, style) if len(group) > 1 else _look(group[0], style)}"


def _groups(looks: Sequence[Look], *, verbose: bool) -> Iterator[Sequence[Look]]:
    """Put rules in a row that fail on the same condition together, if they are many."""
    for _, run in groupby(looks, key=lambda look: (look.matched, look.condition)):
        group = list(run)
        if verbose or len(group) < _SUMMED_FROM or group[0].matched != "no":
            yield from ([look] for look in group)
        else:
            yield group


def _look(look: Look, style: Style) -> str:
    rule = f"{look.rule.direction.value.lower()}[{look.rule.number}] {look.rule.action.value}"
    where = style.faint(f", {look.origin}") if str(look.origin) else ""
    if look.matched == "no":
        return f"{rule}: {look.why}{where}"
    return f"{style.strong(f'{rule}: {_MATCHED[look.matched]}')}{where}"


_MATCHED: Final = {"yes": "matches", "maybe": "could match, but a later fragment has no ports"}


def _summary(group: Sequence[Look], style: Style) -> str:
    first, last = group[0], group[-1]
    direction = first.rule.direction.value.lower()
    where = style.faint(f", {first.origin} to {last.origin.line}") if str(first.origin) else ""
    return (
        f"{direction}[{first.rule.number}] to [{last.rule.number}]: "
        f"{len(group)} rules, none matches on {first.condition}: {first.why.partition(' ')[2]}, and so on{where}"
    )


def _bystander_lines(explanation: Explanation, style: Style, *, verbose: bool) -> Iterator[str]:
    count = len(explanation.bystanders)
    if not count:
        return
    yield ""
    if not verbose:
        noun = "policy was" if count == 1 else "policies were"
        yield style.faint(f"{count} more {noun} not asked; -v says why")
        return
    yield "not asked"
    for it in explanation.bystanders:
        yield f"  {it.kind}/{it.name}: {it.why}{style.faint(f', {place(it.origin)}')}"
