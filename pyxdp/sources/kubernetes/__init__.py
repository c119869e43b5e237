"""The Kubernetes API as a source of policy: list and watch, and the status written back.

Needs ``httpcore``, the extra ``pyxdp[kubernetes]``; nothing else of pyxdp imports this package before it is asked for.

::

    transport.py   TCP and TLS under the requests
    access.py      kubeconfig or service account -> where the server is, how to be let in
    api.py         requests, and what may go wrong with them
    kinds.py       what is watched
    discovery.py   what of it is served, and as which version
    reduction.py   object -> text, without what does not matter
    reflection.py  one kind: list, watch, list anew
    source.py      all of them as one source
    conditions.py  the agent's view -> conditions
    writing.py     conditions -> API
"""

from __future__ import annotations

from importlib.util import find_spec

from pyxdp.errors import OperatorError

if find_spec("httpcore") is None:
    raise OperatorError(
        "to follow Kubernetes takes httpcore, which is not installed", hint="pip install 'pyxdp[kubernetes]'"
    )

from pyxdp.sources.kubernetes.access import Access, find_access
from pyxdp.sources.kubernetes.source import KubernetesSource
from pyxdp.sources.kubernetes.timing import Timing

__all__ = ["Access", "KubernetesSource", "Timing", "find_access"]
