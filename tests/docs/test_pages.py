"""What the pages say that commands print is what they print, apart from numbers, times and hashes."""

from __future__ import annotations

import re
import shutil
from contextlib import redirect_stdout
from io import StringIO
from typing import TYPE_CHECKING

import pytest

from tests.docs.pages import ROOT, blocks, machine

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.lab.network import Namespace

PAGES = ["README.md", "docs/getting-started.md", "docs/explain.md", "docs/inspection.md", "docs/policy-tests.md"]
#: Digits with what belongs to them, and hashes; a number of any length counts as the same.
VARIES = re.compile(r"\d+ (?:seconds?|minutes?) ago|just now|\b[0-9a-f]{12,64}\b|\d[\d.,:]*")


#: What bpftool shows of a CPU other than the first.
OTHER_CPU = re.compile(r'\},\{"cpu":[1-9]\d*,"value":(?:\{[^}]*\}|\d+)(?=\}[\],])')


def masked(text: str) -> list[str]:
    return [" ".join(VARIES.sub("*", line).split()) for line in text.splitlines()]


def masked_values(text: str) -> str:
    """What bpftool prints, in which line ends and the number of CPUs mean nothing."""
    text = re.sub(r"\s", "", text)
    while OTHER_CPU.search(text):
        text = OTHER_CPU.sub("", text)
    return VARIES.sub("*", text)


@pytest.mark.parametrize("page", PAGES)
def test_what_the_page_shows_is_what_happens(page: str, netns: Callable[[], Namespace]) -> None:
    found = blocks(ROOT / page)
    assert len(found) > 1
    with machine(netns) as run:
        for block in found:
            if "# bpftool" not in block.text:
                assert masked(run(block)) == masked(block.text)
            elif shutil.which("bpftool"):  # Ubuntu has it for some kernels only
                said = run(block)
                assert "Error:" not in said
                if "show pinned" not in block.text:  # of programs and links every version says something else
                    assert masked_values(said) == masked_values(block.text)


@pytest.mark.parametrize("page", ["README.md", "docs/explain.md"])
def test_the_python_of_a_page(page: str, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (ROOT / page).read_text()
    shown = re.findall(r"```python\n(.*?)```\n\n```text\n(.*?)```", text, re.DOTALL)
    assert shown
    monkeypatch.chdir(ROOT)
    for program, output in shown:
        printed = StringIO()
        with redirect_stdout(printed):
            exec(compile(program, page, "exec"), {})  # noqa: S102 -- the page's own code
        assert printed.getvalue() == output


@pytest.mark.parametrize(
    "page", ["README.md", *(str(it.relative_to(ROOT)) for it in sorted(ROOT.glob("docs/**/*.md")))]
)
def test_links_lead_somewhere(page: str) -> None:
    file = ROOT / page
    links = re.findall(r"\]\((?!https?:|#)([^)#]+)", file.read_text())
    assert [link for link in links if not (file.parent / link).exists()] == []


def test_tests_that_pages_name_exist() -> None:
    text = "".join(file.read_text() for file in ROOT.glob("docs/**/*.md"))
    named = set(re.findall(r"`(tests/[\w/]+\.py)::(test_\w+)`", text))
    assert named
    assert [it for it in sorted(named) if f"def {it[1]}(" not in (ROOT / it[0]).read_text()] == []
