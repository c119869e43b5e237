"""Cases read off the specification section by section, without a look at either engine.

Each is named by the section of ``docs/design/semantics.md`` or by ``docs/packets.md`` (``packets``) that it holds.
"""

from __future__ import annotations

from pathlib import Path

import pytest

import pyxdp

FOLDER = Path(__file__).parent / "independent"
STEMS = sorted(it.name.removesuffix(".policy.yaml") for it in FOLDER.glob("*.policy.yaml"))


def test_every_policy_has_its_cases() -> None:
    assert STEMS
    assert sorted(it.name.removesuffix(".cases.yaml") for it in FOLDER.glob("*.cases.yaml")) == STEMS


@pytest.mark.usefixtures("kernel")
@pytest.mark.parametrize("stem", STEMS)
def test_both_engines_say_what_the_specification_says(stem: str) -> None:
    resources = pyxdp.load([FOLDER / f"{stem}.policy.yaml"]).resources
    cases = pyxdp.load_cases([FOLDER / f"{stem}.cases.yaml"], resources)
    # One endpoint after the other: the programs are given its policy once.
    results = list(pyxdp.test(resources, sorted(cases, key=lambda it: it.endpoint)))
    assert len(results) == len(cases)
    assert [f"{it.case.origin}: {it.case.name}: {it.failure}" for it in results if not it.passed] == []
    assert {len(it.judgements) for it in results} == {2}
