"""``docs/packets.md`` names every reason, and only tests that there are."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from pyxdp.abi import Reason

HERE = Path(__file__).parent
TEXT = (HERE.parent.parent / "docs/packets.md").read_text(encoding="utf-8")
NAMED = sorted(set(re.findall(r"`(test_\w+\.py)::(test_\w+)`", TEXT)))


@pytest.mark.parametrize("reason", Reason, ids=lambda reason: reason.name)
def test_reason_is_documented(reason: Reason) -> None:
    assert f"`{reason.name}`" in TEXT


@pytest.mark.parametrize(("module", "function"), NAMED)
def test_named_test_exists(module: str, function: str) -> None:
    tree = ast.parse((HERE / module).read_text(encoding="utf-8"))
    assert function in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


def test_rows_that_say_a_reason_name_a_test() -> None:
    rows = [line for line in TEXT.splitlines() if line.startswith("| ") and not line.endswith("| test |")]
    assert rows
    assert [row for row in rows if "::test_" not in row] == []
