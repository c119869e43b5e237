"""Runs docs/libbpf-wrapper.md: its program is compiled, its Python executed in order, its output compared."""

from __future__ import annotations

import re
import subprocess
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.lab.network import connect

if TYPE_CHECKING:
    from collections.abc import Callable

    import pytest

    from tests.lab.network import Namespace

PAGE = Path(__file__).resolve().parents[2] / "docs/libbpf-wrapper.md"
BLOCK = re.compile(r"```(\w+)\n(.*?)```", re.DOTALL)
VARIES = re.compile(r"\b(?:(?:program_)?id[= ]\d+|ifindex=\d+|[0-9a-f]{16}$)", re.MULTILINE)


def test_the_page_works(tmp_path: Path, netns: Callable[[], Namespace], monkeypatch: pytest.MonkeyPatch) -> None:
    near, _ = connect(netns(), netns())
    with near.namespace.links() as ip:
        ip.link("set", index=near.ifindex, state="down")
        ip.link("set", index=near.ifindex, ifname="eth0")
        ip.link("set", index=near.ifindex, state="up")
    monkeypatch.chdir(tmp_path)
    variables: dict[str, Any] = {}
    printed = StringIO()
    compared = 0
    with near.namespace.entered():
        for language, text in BLOCK.findall(PAGE.read_text()):
            if language == "c":
                Path("count.bpf.c").write_text(text)
            elif language == "sh":
                subprocess.run(text, shell=True, check=True)  # noqa: S602 -- the page's own command
            elif language == "python":
                printed = StringIO()
                with redirect_stdout(printed):
                    exec(compile(text, str(PAGE), "exec"), variables)  # noqa: S102 -- the page's own code
            else:
                assert VARIES.sub("*", printed.getvalue()) == VARIES.sub("*", text)
                compared += 1
    assert compared > 5
