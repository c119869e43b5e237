"""Tests of policy: packets, and what should become of them.

``values``     a case and its result
``packets``    reading the packet of a case
``reading``    text to cases, with every error of every file at once
``endpoints``  an interface for each host endpoint, made up for it
``programs``   the real programs as judges
``evaluating`` the evaluator as a judge, in the ``words`` of the programs
``origins``    where rules are written
``running``    all of them together
"""

from __future__ import annotations

from pyxdp.cases.reading import CaseFiles, read_cases
from pyxdp.cases.running import EngineChoice, run_cases
from pyxdp.cases.values import Case, CaseResult, Engine, describe
from pyxdp.trial import Stage, Verdict

__all__ = [
    "Case",
    "CaseFiles",
    "CaseResult",
    "Engine",
    "EngineChoice",
    "Stage",
    "Verdict",
    "describe",
    "read_cases",
    "run_cases",
]
