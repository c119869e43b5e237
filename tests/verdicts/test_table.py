"""Every engine gives the verdicts of the table."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.verdicts.engines import ENGINES, Engine
from tests.verdicts.table import Case, load_table

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module", params=ENGINES)
def engine(request: pytest.FixtureRequest) -> Iterator[Engine]:
    with ENGINES[request.param]() as entered:
        yield entered


@pytest.mark.parametrize("case", load_table(), ids=lambda case: case.id)
def test_verdict(engine: Engine, case: Case) -> None:
    outcome = engine.verdict(case)
    expected = f"{case.expect.value} by {case.rule}, untracked {case.untracked}, logs {case.logs}"
    assert outcome.agrees_with(case), f"expected {expected}; got {outcome}"
