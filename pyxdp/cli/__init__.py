"""The command ``pyxdp``: prints, asks, exits. All it does is in :mod:`pyxdp.steps`.

``main``       entry point: errors, signals and exit codes
``commands``   what commands there are, and options that they share
``output``     data on stdout, the rest on stderr, both also as JSON
"""

from __future__ import annotations

from pyxdp.cli.main import main

__all__ = ["main"]
