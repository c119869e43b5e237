"""What makes ``make bench`` fail."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from bench import parts
from bench.scale import SCALES
from pyxdp.bench.figures import Line

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

FAR = Line("it", 81, "ns", most=40)
NEAR = Line("it", 79, "ns", most=40)
LOST = Line("lost", 1, "packets", most=0)


@pytest.mark.usefixtures("kernel")
@pytest.mark.parametrize(
    ("rounds", "measured", "failed"),
    [
        pytest.param([[NEAR]], 1, 0, id="near"),
        pytest.param([[FAR], [NEAR]], 2, 0, id="far once"),
        pytest.param([[FAR], [FAR]], 2, 1, id="far twice"),
        pytest.param([[LOST], [NEAR]], 1, 1, id="what must be zero"),
        pytest.param([[FAR, LOST], [NEAR]], 1, 1, id="both"),
        pytest.param([[FAR], ValueError("broken")], 2, 1, id="an error"),
    ],
)
def test_targets_missed_by_far_are_measured_again(
    rounds: list[list[Line] | Exception], measured: int, failed: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    coming = iter(rounds)
    made = []

    def measure(*_: object) -> Iterable[Line]:
        found = next(coming)
        made.append(found)
        if isinstance(found, Exception):
            raise found
        return found

    monkeypatch.setattr(parts, "PARTS", {"verdicts": measure})
    monkeypatch.setattr(parts, "unshare_mounts", lambda: None)
    assert parts.measure(SCALES["quick"], ["verdicts"], tmp_path / "bench.json", page=False) == failed
    assert len(made) == measured
