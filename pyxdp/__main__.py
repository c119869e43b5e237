"""``python -m pyxdp`` is the command ``pyxdp``."""

import sys

from pyxdp.cli import main

if __name__ == "__main__":
    sys.exit(main())
