"""Calico's host policy, read a second time: a slow and plain interpreter of resources and packet.

It walks tiers, policies and rules in order and asks of each rule whether it matches, and of each selector whether any
endpoint or network set that it selects holds the address. It shares nothing with
:mod:`pyxdp.resolver` and :mod:`pyxdp.compiler`, so that a test which finds both to agree says something. It also
answers the question why: :class:`ClassResult` names the deciding rule and every rule that was looked at.

Where Calico's backends differ, it follows the recommendation of the specification (section 11): Pass in a profile goes
on with the next one, all untracked tiers are enforced, ``*`` supports untracked policy and leaves ``lo`` out, the
types of neighbour discovery pass the normal class.
"""

from __future__ import annotations

from pyxdp.evaluator.composition import Evaluator, evaluate, evaluate_class
from pyxdp.evaluator.endpoint import Governance, governing_endpoint
from pyxdp.evaluator.outcome import (
    ClassResult,
    Conntrack,
    Context,
    Direction,
    Evaluation,
    Path,
    PolicyClass,
    Reason,
    RuleRef,
    Step,
    Verdict,
)

__all__ = [
    "ClassResult",
    "Conntrack",
    "Context",
    "Direction",
    "Evaluation",
    "Evaluator",
    "Governance",
    "Path",
    "PolicyClass",
    "Reason",
    "RuleRef",
    "Step",
    "Verdict",
    "evaluate",
    "evaluate_class",
    "governing_endpoint",
]
