"""Results of ``pyxdp test`` in the XML that CI systems read (JUnit, as Ant's and pytest's reports have it)."""

from __future__ import annotations

import re
from itertools import groupby
from typing import TYPE_CHECKING, Final
from xml.etree.ElementTree import Element, ElementTree, SubElement, indent

from pyxdp.errors import OperatorError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from pyxdp.cases import CaseResult

#: Characters that XML 1.0 has no way to write.
_UNSPEAKABLE: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def write(path: Path, results: Sequence[tuple[CaseResult, float]]) -> None:
    """Write a report: a suite for each file of cases.

    Args:
        path: of the report.
        results: each with the seconds that it took.

    Raises:
        OperatorError: the file can not be written.
    """
    root = Element("testsuites", _totals(results))
    for file, group in groupby(results, key=lambda it: it[0].case.origin.file):
        members = list(group)
        suite = SubElement(root, "testsuite", {"name": _speakable(file), **_totals(members), "errors": "0"})
        for result, seconds in members:
            _add(suite, result, seconds)
    indent(root)
    try:
        ElementTree(root).write(path, encoding="utf-8", xml_declaration=True)
    except OSError as error:
        raise OperatorError(f"can not write {path}: {error.strerror}", hint="name another file with --junit") from error


def _totals(results: Sequence[tuple[CaseResult, float]]) -> dict[str, str]:
    return {
        "tests": str(len(results)),
        "failures": str(sum(not result.passed for result, _ in results)),
        "time": f"{sum(seconds for _, seconds in results):.6f}",
    }


def _add(suite: Element, result: CaseResult, seconds: float) -> None:
    case = result.case
    attributes = {
        "classname": case.endpoint,
        "name": case.name,
        "file": case.origin.file,
        "line": str(case.origin.line),
        "time": f"{seconds:.6f}",
    }
    made = SubElement(suite, "testcase", {name: _speakable(value) for name, value in attributes.items()})
    if not result.passed:
        message = _speakable(result.failure)
        SubElement(made, "failure", {"message": message, "type": "verdict"}).text = f"{case.origin}: {message}"


def _speakable(text: str) -> str:
    return _UNSPEAKABLE.sub("\ufffd", text)
