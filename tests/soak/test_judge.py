"""The judge of ``make soak`` finds nothing wrong with what is right, and finds what is wrong."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

import pytest

from tests.soak.judge import Judge
from tests.soak.policies import FILES, Version, base, probes, version

if TYPE_CHECKING:
    from tests.veth.host import Host


def versions(seed: int) -> list[Version]:
    chance = Random(seed)  # noqa: S311 - repeatable
    return [version(chance, file, 1) for file in FILES]


def applied(host: Host, in_force: list[Version], believed: list[Version]) -> Judge:
    """A judge that believes in other versions than those that are in force."""
    host.apply(base(host.end.name) + "".join(it.text for it in in_force))
    judge = Judge(host)
    for it in believed:
        judge.possible.add(it)
    return judge


@pytest.mark.parametrize("seed", range(3))
def test_what_is_right(host: Host, seed: int) -> None:
    judge = applied(host, versions(seed), versions(seed))
    assert judge.settled()
    judge.settle(probes(Random(seed), host.end, 100))  # noqa: S311 - repeatable
    assert not judge.findings
    assert judge.verdicts > 100
    assert judge.governed() == {host.end.name: "main"}


def test_other_rules_under_the_same_markers(host: Host) -> None:
    judge = applied(host, versions(5), versions(6))
    assert judge.settled()
    judge.settle(probes(Random(1), host.end, 100))  # noqa: S311 - repeatable
    assert any(it.startswith("XDP drops") for it in judge.findings)
    assert any(it.startswith("in_deny answers") for it in judge.findings)
    assert any(it.startswith("local_out_deny answers") for it in judge.findings)


def test_before_the_first_policy_is_in_force_nothing_is_wrong(host: Host) -> None:
    """Programs are attached then, and let everything pass."""
    judge = Judge(host)
    for it in versions(5):
        judge.possible.add(it)

    def sample(_: object) -> None:
        judge.sample(probes(Random(1), host.end, 20))  # noqa: S311 - repeatable

    host.apply(base(host.end.name) + "".join(it.text for it in versions(5)), on_progress=sample)
    sample(None)
    assert not judge.findings
    assert judge.verdicts >= 20


def test_a_version_that_should_be_gone(host: Host) -> None:
    old = versions(1)
    new = [Version(it.file, 2, version(Random(3), it.file, 2).text) for it in old]  # noqa: S311 - repeatable
    judge = applied(host, old, [*old, *new])
    assert not judge.settled()
    judge.sample(probes(Random(1), host.end, 20))  # noqa: S311 - repeatable
    assert not judge.findings, "it may still be in force"
    judge.possible.settle()
    judge.sample(probes(Random(1), host.end, 20))  # noqa: S311 - repeatable
    assert judge.findings == ["a.yaml: none of versions [2] is in force"]
