"""Calico host endpoint policy, enforced at XDP and out of conntrack.

::

    import pyxdp

    manifest = pyxdp.load(["policy/"])
    policy = pyxdp.resolve(manifest.resources)
    report = pyxdp.apply(policy)

The steps are :func:`load`, :func:`resolve`, :func:`compile`, :func:`evaluate`, :func:`explain`, :func:`load_cases`,
:func:`test`, :func:`apply`, :func:`status` and :func:`delete`; the command ``pyxdp`` calls the same functions.
``docs/python.md`` shows them at work. A program that stays uses an :class:`Enforcer`, whose changes are faster.

Importing this package does nothing and costs next to nothing: a name brings in what it needs when it is first used. So
the pure steps work where there is no libbpf, no kernel and no root.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from pyxdp.cases import Case, CaseResult
    from pyxdp.compiler import MapImage
    from pyxdp.dataplane import Dataplane, Report, Status, Step
    from pyxdp.enforcer import Enforcer, MembersReport
    from pyxdp.errors import PyxdpError
    from pyxdp.evaluator import Context, Evaluation
    from pyxdp.explanation import Explanation
    from pyxdp.manifest import Manifest, loads
    from pyxdp.model import Resources
    from pyxdp.net import Interface, Packet
    from pyxdp.resolver import EffectivePolicy
    from pyxdp.steps import (
        apply,
        compile,  # noqa: A004 - the step's name
        delete,
        evaluate,
        explain,
        load,
        load_cases,
        resolve,
        status,
        test,
    )
    from pyxdp.trial import Verdict
    from pyxdp.xtables import Iptables

    __version__: str

#: Where each public name lives.
_HOMES: Final = {
    "Case": "pyxdp.cases",
    "CaseResult": "pyxdp.cases",
    "Context": "pyxdp.evaluator",
    "Dataplane": "pyxdp.dataplane",
    "EffectivePolicy": "pyxdp.resolver",
    "Enforcer": "pyxdp.enforcer",
    "Evaluation": "pyxdp.evaluator",
    "Explanation": "pyxdp.explanation",
    "Interface": "pyxdp.net",
    "Iptables": "pyxdp.xtables",
    "Manifest": "pyxdp.manifest",
    "MapImage": "pyxdp.compiler",
    "MembersReport": "pyxdp.enforcer",
    "Packet": "pyxdp.net",
    "PyxdpError": "pyxdp.errors",
    "Report": "pyxdp.dataplane",
    "Resources": "pyxdp.model",
    "Status": "pyxdp.dataplane",
    "Step": "pyxdp.dataplane",
    "Verdict": "pyxdp.trial",
    "apply": "pyxdp.steps",
    "compile": "pyxdp.steps",
    "delete": "pyxdp.steps",
    "evaluate": "pyxdp.steps",
    "explain": "pyxdp.steps",
    "load": "pyxdp.steps",
    "load_cases": "pyxdp.steps",
    "loads": "pyxdp.manifest",
    "resolve": "pyxdp.steps",
    "status": "pyxdp.steps",
    "test": "pyxdp.steps",
}

__all__ = [
    "Case",
    "CaseResult",
    "Context",
    "Dataplane",
    "EffectivePolicy",
    "Enforcer",
    "Evaluation",
    "Explanation",
    "Interface",
    "Iptables",
    "Manifest",
    "MapImage",
    "MembersReport",
    "Packet",
    "PyxdpError",
    "Report",
    "Resources",
    "Status",
    "Step",
    "Verdict",
    "__version__",
    "apply",
    "compile",
    "delete",
    "evaluate",
    "explain",
    "load",
    "load_cases",
    "loads",
    "resolve",
    "status",
    "test",
]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        value: Any = import_module("importlib.metadata").version("pyxdp")
    elif name in _HOMES:
        value = getattr(import_module(_HOMES[name]), name)
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
