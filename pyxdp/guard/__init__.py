"""Before a switch: which flows that must live would the new policy cut, and by which rule?

The programs themselves answer, on the tables that are about to be switched to (:mod:`pyxdp.trial`), for the packets of

* sessions that this network namespace has now, TCP and UDP, in both directions;
* failsafe ports;
* the node's own way to its API server, and the API server's to the kubelet.

What the policy in force cuts already is no cut. Sessions of others, which this host forwards, are not looked at.

``guard``        asks, compares and says
``judging``      what becomes of a flow, in programs that are kept loaded
``established``  sessions, and where they pass policy
``flows``        what else must live
``sessions``     what a session is, and which one is the caller's
``node``         the API server's address, and the kubelet
``names``        names of API servers
``findings``     what is said
"""

from __future__ import annotations

from pyxdp.guard.findings import Cut, Findings
from pyxdp.guard.guard import Guard
from pyxdp.guard.sessions import Session, session_of_caller

__all__ = ["Cut", "Findings", "Guard", "Session", "session_of_caller"]
