"""What a finding is written down in says the same when it is read again, and ``pyxdp test`` takes it."""

from __future__ import annotations

from dataclasses import replace
from random import Random
from typing import TYPE_CHECKING

import pytest

from pyxdp import manifest
from pyxdp.cli import main
from pyxdp.evaluator import Context, Path
from pyxdp.trial import TrialHost
from tests.fuzz.findings import Finding, differ, write
from tests.fuzz.writing import is_valid, write_resources
from tests.verdicts.dressing import dressed_frame
from tests.verdicts.random_resources import random_resources
from tests.verdicts.strategies import throw_round

if TYPE_CHECKING:
    import pathlib
    from collections.abc import Iterator

    from pyxdp.model import Resources
    from tests.verdicts.boundaries import Question


@pytest.mark.parametrize("seed", range(40))
def test_random_resources_are_a_valid_manifest(seed: int) -> None:
    resources = random_resources(Random(seed))  # noqa: S311 - repeatable
    assert manifest.loads(write_resources(resources)).resources == resources
    assert is_valid(resources)


@pytest.fixture(scope="module")
def host() -> Iterator[TrialHost]:
    with TrialHost() as entered:
        yield entered


@pytest.mark.parametrize("seed", [0, 1, 2, 6])
def test_pyxdp_test_gives_the_verdict_that_was_written(
    host: TrialHost, seed: int, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    thrown = throw_round(Random(seed), 4)  # noqa: S311 - repeatable
    for number, question in enumerate(replace(question, interface="eth0") for question in thrown.questions):
        frame = dressed_frame(Random(seed), question.packet) if _is_plain(question) else None  # noqa: S311 - repeatable
        finding = Finding(_without_rivals(thrown.scenario.resources), question, frame)
        assert not differ(host, thrown.scenario, finding)
        folder = tmp_path / str(number)
        write(host, thrown.scenario, finding, folder, origin="a test")
        status = main(["test", str(folder / "cases.yaml"), "-f", str(folder / "policies.yaml")])
        assert status == 0, capsys.readouterr()


def _is_plain(question: Question) -> bool:
    """A frame says nothing of connection tracking, or of DNAT."""
    return question.context in (Context(), Context(path=Path.FORWARD))


def _without_rivals(resources: Resources) -> Resources:
    """``pyxdp test`` knows an interface by its endpoint: this leaves one on eth0."""
    endpoints = tuple(one for one in resources.hostEndpoints if one.metadata.name != "address")
    return replace(resources, hostEndpoints=endpoints)
