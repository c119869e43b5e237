"""``python -m tests.torture``; see :mod:`tests.torture.run`."""

import sys

from tests.torture.run import main

if __name__ == "__main__":
    sys.exit(main())
