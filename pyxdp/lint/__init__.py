"""What is valid policy and probably not meant, found without a kernel, a node or a packet. Pure, no I/O.

``Resources --lint--> findings``: every host endpoint of every node is resolved, each rule becomes the exact set of
packets that it matches (boxes of intervals), and what earlier rules take is subtracted.
"""

from __future__ import annotations

from pyxdp.lint.example import packet_text
from pyxdp.lint.finding import IGNORE_ANNOTATION, Code, Example, Finding, Severity
from pyxdp.lint.linting import EFFORT, lint

__all__ = ["EFFORT", "IGNORE_ANNOTATION", "Code", "Example", "Finding", "Severity", "lint", "packet_text"]
