"""docs/lint.md has every code, and its examples are what is said."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import pyxdp
from pyxdp.cli.findings import finding_text
from pyxdp.lint import Code, lint

if TYPE_CHECKING:
    from collections.abc import Iterator

PAGE = Path(__file__).resolve().parents[2] / "docs/lint.md"
BLOCK = re.compile(r"```(yaml|text)\n(.*?)```", re.DOTALL)


def sections() -> dict[str, str]:
    parts = re.split(r"^### ([a-z-]+)$", PAGE.read_text(), flags=re.MULTILINE)[1:]
    return dict(zip(parts[::2], parts[1::2], strict=True))


def host() -> str:
    return next(text for _, text in BLOCK.findall(PAGE.read_text()) if text.startswith("# host.yaml"))


def said(code: str, folder: Path) -> Iterator[str]:
    """What lint says of the example of a section, of that kind."""
    policy = next(text for language, text in BLOCK.findall(sections()[code]) if language == "yaml")
    (folder / "host.yaml").write_text(host())
    (folder / "policy.yaml").write_text(policy)
    for finding in lint(pyxdp.load(["host.yaml", "policy.yaml"]).resources):
        if finding.code.value == code:
            yield f"{finding.severity.value}: {finding_text(finding)}\n"


def test_the_page_has_every_code() -> None:
    assert list(sections()) == [code.value for code in Code]


@pytest.mark.parametrize("code", [code.value for code in Code if code is not Code.GAVE_UP])
def test_what_the_page_shows_is_what_is_said(code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    shown = [text for language, text in BLOCK.findall(sections()[code]) if language == "text"]
    assert "".join(said(code, tmp_path)) == "".join(shown)
    assert shown


def test_the_first_example_is_that_of_its_code() -> None:
    first = next(text for language, text in BLOCK.findall(PAGE.read_text()) if language == "text")
    assert first in sections()["shadowed-rule"]
