"""A folder of manifests."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Of manifests; empty."""
    made = tmp_path / "policy"
    made.mkdir()
    return made
