"""An explanation as JSON values. Members are only ever added; ``docs/cli.md`` lists them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pyxdp.evaluator import PolicyClass, Verdict
from pyxdp.explanation.wording import decision

if TYPE_CHECKING:
    from pyxdp.evaluator import RuleRef
    from pyxdp.explanation.values import ClassAccount, Explanation, Look, RuleList, Stage
    from pyxdp.model import Origin
    from pyxdp.net import Packet

_VERDICTS: Final = {Verdict.ALLOW: "allow", Verdict.DENY: "deny", Verdict.NO_VERDICT: "no-match"}
_CLASSES: Final = {
    PolicyClass.UNTRACKED: "untracked",
    PolicyClass.PRE_DNAT: "preDNAT",
    PolicyClass.NORMAL: "normal",
    PolicyClass.FORWARD: "forward",
}
#: Why no class was asked about a packet that one could be asked about.
_NOT_ASKED: Final = "NOT_GOVERNED"


def as_document(explanation: Explanation) -> dict[str, Any]:
    """Return the JSON value of an explanation."""
    context, deciding = explanation.context, explanation.deciding
    return {
        "verdict": _VERDICTS[explanation.verdict],
        "untracked": explanation.untracked,
        "decision": decision(explanation),
        "class": _CLASSES[deciding.policy_class] if deciding else "",
        "reason": deciding.reason.name if deciding else explanation.content.value or _NOT_ASKED,
        **_rule(explanation.rule, tier=deciding.tier if deciding else ""),
        **_origin(explanation.origin),
        "interface": explanation.interface,
        "endpoint": explanation.endpoint,
        "governance": explanation.governance,
        "direction": explanation.direction.value.lower(),
        "path": context.path.value,
        "ctstate": context.conntrack.value,
        "original_dst": str(context.original_destination or ""),
        "original_dport": context.original_destination_port,
        "packet": _packet(explanation.packet) if explanation.packet else None,
        "classes": [_class(account) for account in explanation.classes],
        "not_asked": [
            {"kind": it.kind, "policy": it.name, "why": it.why, **_origin(it.origin)} for it in explanation.bystanders
        ],
    }


def _packet(packet: Packet) -> dict[str, Any]:
    return {
        "protocol": packet.protocol,
        "source": str(packet.source),
        "destination": str(packet.destination),
        "source_port": packet.source_port,
        "destination_port": packet.destination_port,
        "icmp_type": packet.icmp_type,
        "icmp_code": packet.icmp_code,
        "later_fragment": packet.later_fragment,
    }


def _origin(origin: Origin) -> dict[str, Any]:
    return {"file": origin.file, "line": origin.line or None}


def _rule(rule: RuleRef | None, *, tier: str = "") -> dict[str, Any]:
    return {
        "tier": rule.tier if rule else tier,
        "kind": rule.kind if rule else "",
        "policy": rule.policy if rule else "",
        "rule_direction": rule.direction.value.lower() if rule else "",
        "rule": rule.number if rule else None,
        "action": rule.action.value if rule else "",
    }


def _class(account: ClassAccount) -> dict[str, Any]:
    return {
        "class": _CLASSES[account.policy_class],
        "hooks": list(account.hooks),
        "verdict": _VERDICTS[account.verdict],
        "reason": account.reason.name,
        "logs": [_rule(rule) for rule in account.logs],
        "stages": [_stage(stage) for stage in account.stages],
    }


def _stage(stage: Stage) -> dict[str, Any]:
    return {
        "stage": stage.title,
        "outcome": stage.outcome,
        "decides": stage.decides,
        **_origin(stage.origin),
        "policies": [_list(rules) for rules in stage.lists],
    }


def _list(rules: RuleList) -> dict[str, Any]:
    return {
        "kind": rules.kind,
        "policy": rules.name,
        **_origin(rules.origin),
        "total": rules.total,
        "rules": [_look(look) for look in rules.looks],
    }


def _look(look: Look) -> dict[str, Any]:
    return {
        "rule_direction": look.rule.direction.value.lower(),
        "rule": look.rule.number,
        "action": look.rule.action.value,
        "matched": look.matched,
        "condition": look.condition,
        "why": look.why,
        **_origin(look.origin),
    }
