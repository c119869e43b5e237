"""Follows sources and the machine, and keeps policy in force: for months, and through its own death.

::

    sources --texts--> store --Resources--> enforcer --> kernel
                                               ^
                 netlink events, drift --------'
"""

from __future__ import annotations

from pyxdp.agent.agent import Agent
from pyxdp.agent.settings import AgentSettings
from pyxdp.agent.view import AgentView, SourceView

__all__ = ["Agent", "AgentSettings", "AgentView", "SourceView"]
