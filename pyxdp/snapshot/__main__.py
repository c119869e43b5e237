"""``python -m pyxdp.snapshot FOLDER``: the watchdog of the change that waits there; see ``watchdog.py``."""

from __future__ import annotations

import sys

from pyxdp.snapshot.state import StateFolder
from pyxdp.snapshot.watchdog import main

if __name__ == "__main__":
    main(StateFolder(sys.argv[1]))
