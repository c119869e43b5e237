"""From what happened at each hook to what it means."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Final

from pyxdp.abi import Direction
from pyxdp.trial.judgement import Judgement, PolicyClass, RuleName
from pyxdp.xtables.chains import State

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pyxdp.abi import Name
    from pyxdp.trial.judgement import Passage, Verdict

#: The class that a program speaks for; the others are asked about something else.
CLASS_OF_PROGRAM: Final = {
    "xdp": PolicyClass.UNTRACKED,
    "in_allow": PolicyClass.UNTRACKED,
    "in_deny": PolicyClass.UNTRACKED,
    "out_allow": PolicyClass.UNTRACKED,
    "out_deny": PolicyClass.UNTRACKED,
    "prednat_allow": PolicyClass.PRE_DNAT,
    "prednat_deny": PolicyClass.PRE_DNAT,
    "local_in_deny": PolicyClass.NORMAL,
    "local_out_deny": PolicyClass.NORMAL,
    "local_dnat_deny": PolicyClass.NORMAL,
    "forward_in_allow": PolicyClass.FORWARD,
    "forward_in_deny": PolicyClass.FORWARD,
    "forward_out_allow": PolicyClass.FORWARD,
    "forward_out_deny": PolicyClass.FORWARD,
}

#: The class whose hook it is: what connection tracking alone decides there is decided for that class.
_CLASS_OF_HOOK: Final = {
    "mangle PREROUTING": PolicyClass.PRE_DNAT,
    "filter INPUT": PolicyClass.NORMAL,
    "filter OUTPUT": PolicyClass.NORMAL,
    "mangle POSTROUTING": PolicyClass.NORMAL,
    "filter FORWARD": PolicyClass.FORWARD,
}

#: It asks about the host's own packets, and answers 0 for others.
_LOCAL_ONLY: Final = "mangle POSTROUTING"

#: Counted beside the reason of the verdict.
_ASIDE: Final = frozenset({"UNTRACKED", "STILL_TRACKED", "LOG_SUPPRESSED"})
_INVALID: Final = "DROP_INVALID"
_UNDECIDED: Final = {True: "PASS_NO_MATCH", False: "PASS_NOT_GOVERNED"}


def conclude(verdict: Verdict, *, untracked: bool, passages: Sequence[Passage], forwarded: bool) -> Judgement:
    """Say who decided.

    The last class that was asked has decided, whether it gave a verdict or left the packet alone; unless connection
    tracking decided before any tracked class was asked.

    Args:
        verdict: what was decided.
        untracked: the packet has left connection tracking.
        passages: what happened, hook by hook.
        forwarded: the packet is no local one: the normal class has no say.
    """
    if forwarded:
        passages = [passage for passage in passages if passage.hook != _LOCAL_ONLY]
    policy_class, hook, reason = _by_connection(passages) or _by_class(passages)
    own = [passage for passage in passages if policy_class in _classes(passage)] if not reason else []
    counted = [rule_name(name) for passage in own for name, _ in passage.counted]
    deciding = [rule for rule in counted if _decides(rule)]
    return Judgement(
        verdict=verdict,
        untracked=untracked,
        policy_class=policy_class,
        reason=reason or _reason(own, asked=policy_class is not PolicyClass.NONE),
        rule=deciding[-1] if deciding else None,
        hook=hook,
        logs=tuple(_logs(passages)),
        passages=tuple(passages),
    )


def rule_name(name: Name) -> RuleName:
    """Return a record of the maps in words."""
    return RuleName(
        tier=name.tier,
        kind=name.kind,
        policy=name.policy,
        direction=Direction(name.direction).name.lower(),
        number=name.rule,
        action=name.action,
    )


def _by_connection(passages: Sequence[Passage]) -> tuple[PolicyClass, str, str] | None:
    for passage in passages:
        known = any(State.ESTABLISHED in rule.states for rule in passage.rules)
        invalid = any(State.INVALID in rule.states for rule in passage.rules)
        if known or invalid:
            return _CLASS_OF_HOOK[passage.hook], passage.hook, "ESTABLISHED" if known else _INVALID
    return None


def _by_class(passages: Sequence[Passage]) -> tuple[PolicyClass, str, str]:
    for passage in reversed(passages):
        for policy_class in _classes(passage):
            return policy_class, passage.hook, ""
    return PolicyClass.NONE, "", ""


def _classes(passage: Passage) -> list[PolicyClass]:
    return [CLASS_OF_PROGRAM[program] for program in passage.programs if program in CLASS_OF_PROGRAM]


def _reason(passages: Iterable[Passage], *, asked: bool) -> str:
    reasons = [reason for passage in passages for reason, _ in passage.reasons if reason not in _ASIDE]
    return reasons[-1] if reasons else _UNDECIDED[asked]


def _decides(rule: RuleName) -> bool:
    return rule.action not in ("Log", "Pass") and not rule.kind.startswith("Staged")


def _logs(passages: Iterable[Passage]) -> Iterable[RuleName]:
    names = chain.from_iterable(passage.counted for passage in passages)
    return (rule_name(name) for name, _ in names if name.action == "Log" and not name.kind.startswith("Staged"))
