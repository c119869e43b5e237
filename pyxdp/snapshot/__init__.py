"""What is kept of policy, so that a machine boots with it and a change can be taken back.

``snapshot``   what is kept, and its bytes
``files``      files that are there as a whole or not at all
``state``      the folder, and who may change it
``pending``    a change that waits to be confirmed
``keeper``     around one change: keeps it, or lets it go back by itself
``watchdog``   the process that takes a change back
``enforcing``  putting a snapshot in force again
"""

from __future__ import annotations

from pyxdp.snapshot.enforcing import Enforced, restore, roll_back
from pyxdp.snapshot.files import read, write
from pyxdp.snapshot.keeper import Change, Keeper
from pyxdp.snapshot.pending import Pending
from pyxdp.snapshot.snapshot import Snapshot
from pyxdp.snapshot.state import STATE, StateFolder
from pyxdp.snapshot.watchdog import Watchdog

__all__ = [
    "STATE",
    "Change",
    "Enforced",
    "Keeper",
    "Pending",
    "Snapshot",
    "StateFolder",
    "Watchdog",
    "read",
    "restore",
    "roll_back",
    "write",
]
