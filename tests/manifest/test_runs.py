"""Long lists of prefixes are read by a shortcut: nothing but the time that it takes tells it from the long way."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyxdp.errors import ManifestError
from pyxdp.manifest import compose, loads, runs
from pyxdp.manifest.compose import BrokenYamlError, Fault, documents
from pyxdp.manifest.nodes import Mapping, Node, Run, Scalar, Sequence
from tests.manifest.documents import problems_of

if TYPE_CHECKING:
    from collections.abc import Iterator

HEAD = "apiVersion: projectcalico.org/v3\nkind: GlobalNetworkSet\nmetadata: {name: x}\nspec:\n"
MANY = 400

WORDS = [
    "10.0.0.0/8",
    "192.0.2.7",
    "10.1.2.3/8",
    "2001:db8::/32",
    "::1",
    "fe80::1/64",
    "::ffff:1.2.3.4",
    "1.2.3.4/33",
    "5",
]
ODD_WORDS = [*WORDS, "fe80::", ":", "::", "1:2", ".", "...", "/", "abc", "1e5", "0", "true", "null", "~", ""]
#: What makes a line, or all behind it, something else.
ODD_LINES = [
    "", "# comment", "  # comment", "---", "...", "--- |", "nets:", "  nets:", "  other: 1", "  - ", "  -",
    "  - - 1.2.3.4", "\t- 1.2.3.4", "  - 10.0.0.0/8 # comment", "  - &a 10.0.0.0/8", "  - *a", "  - !!str 10.0.0.0/8",
    "  - !x 10.0.0.0/8", "  - 10.0.0.0/8 ", "    more", "      10.0.0.0/8", "  - {a: b}", "  - a: b", "  - |",
    "  - >-", "  - 'open", '  - "open', "  close'", '  close"', "  nets: [", "  ]", "  nets: {", "  }", "  - [",
    "  nets: |", "  nets: &b", "  nets: !!seq", "  ? ", "  : x", "  nets: plain", '    "10.0.0.0/8"',
    '    "10.0.0.0/8": 1,', "  <<:", "@", "  - é", "  - 1.2.3.4\x85  - 1.2.3.4", "  - 1.2.3.4\r", "\ufeff",
]  # fmt: skip
STYLES = [
    ("- ", ""),
    ("- ", ""),
    ("-   ", ""),
    ('- "', '"'),
    ("- '", "'"),
    ('"', '",'),
    ("", ","),
    ("- ", " "),
    ('- "', '",'),
]


@pytest.fixture(autouse=True)
def _short_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three lines are a run, so that examples are small."""
    monkeypatch.setattr(runs, "MIN_LINES", 3)


@st.composite
def rows(draw: st.DrawFn) -> list[str]:
    """Draw lines that are alike, or nearly."""
    indent = draw(st.sampled_from(["", "  ", "  ", "  ", "    "]))
    before, behind = draw(st.sampled_from(STYLES))
    words = draw(
        st.lists(st.sampled_from(WORDS), min_size=1, max_size=7) | st.lists(st.sampled_from(ODD_WORDS), max_size=7)
    )
    return [f"{indent}{before}{word}{behind}" for word in words]


CHUNKS = st.lists(rows() | st.lists(st.sampled_from(ODD_LINES), min_size=1, max_size=2), min_size=1, max_size=7)
#: What a list of prefixes may stand in, with the end that it then needs.
SHELLS = [("  nets:\n", ""), ("  nets: [\n", "  ]\n"), ("  nets: &n\n", "  other: *n\n"), ("", "")]


@st.composite
def texts(draw: st.DrawFn) -> str:
    parts = []
    for _ in range(draw(st.integers(1, 2))):
        opening, closing = draw(st.sampled_from(SHELLS))
        lines = [line for chunk in draw(CHUNKS) for line in chunk]
        parts.append(draw(st.sampled_from(["", HEAD, HEAD])) + opening + "".join(f"{one}\n" for one in lines) + closing)
    text = (
        draw(st.sampled_from(["", "\n\n", "# x\n", "\ufeff"]))
        + "---\n".join(parts)
        + draw(st.sampled_from(["", "x", "- 1.2.3.4"]))
    )
    return text.replace("\n", "\r\n") if draw(st.integers(0, 5)) == 0 else text


def plain(node: Node) -> Any:
    """Return a tree as values that can be compared, runs told apart."""
    if isinstance(node, Scalar):
        return node
    if isinstance(node, Sequence):
        return node.line, node.column, [plain(item) for item in node.items], node.size
    return node.line, node.column, {key: (name, plain(value)) for key, (name, value) in node.entries.items()}


def read(text: str) -> list[Any]:
    """Return all that a text says, and what ended it."""
    found: list[Any] = []
    try:
        found.extend((plain(document.root), document.faults) for document in documents(text))
    except BrokenYamlError as error:
        found.append(error.fault)
    return found


def read_slowly(text: str) -> list[Any]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compose, "find_runs", lambda _: [])
        return read(text)


def result(text: str) -> Any:
    try:
        return loads(text)
    except ManifestError as error:
        return error.problems


def slow_result(text: str) -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compose, "find_runs", lambda _: [])
        return result(text)


@given(texts())
@settings(max_examples=400, deadline=None)
def test_any_text_is_read_as_without(text: str) -> None:
    assert read(text) == read_slowly(text)


@given(texts())
@settings(max_examples=200, deadline=None)
def test_any_text_means_what_it_means_without(text: str) -> None:
    assert result(text) == slow_result(text)


def _runs_of(node: Node) -> Iterator[Run]:
    if isinstance(node, Mapping):
        for _, value in node.entries.values():
            yield from _runs_of(value)
    elif isinstance(node, Sequence):
        for part in node.parts:
            if isinstance(part, Run):
                yield part
            else:
                yield from _runs_of(part)


def runs_in(text: str) -> list[int]:
    """Return how many lines each run of a text has that was taken as one."""
    return [run.count for document in documents(text) for run in _runs_of(document.root)]


@pytest.mark.parametrize(
    "text",
    [
        "nets:\n" + "- 10.0.0.0/8\n" * 5,
        "nets:\n" + "  - 10.0.0.0/8\n" * 5,
        "nets:\n" + "    - '10.0.0.0/8'\n" * 5,
        "nets:\n" + "  -   10.0.0.0/8\n" * 5,
        "nets:\n" + '    - "fe80::1"\n' * 5,
        "- 10.0.0.0/8\n" * 5,
        '{"nets": [\n' + '    "10.0.0.0/8",\n' * 5 + '    "::/0"\n]}',
        ("nets:\n" + "  - 10.0.0.0/8\n" * 5).replace("\n", "\r\n"),
        "# é\n---\nnets:\n" + "  - 10.0.0.0/8\n" * 5 + "other: 1\n",
        "nets: &a\n" + "  - 10.0.0.0/8\n" * 5 + "other: *a\n",
        "nets:\n# why\n" + "  - 10.0.0.0/8\n" * 5,
    ],
)
def test_what_is_taken_at_once(text: str) -> None:
    assert runs_in(text) == [5] * (2 if "*a" in text else 1)
    assert read(text) == read_slowly(text)


@pytest.mark.parametrize(
    "text",
    [
        "nets: |\n" + "  - 10.0.0.0/8\n" * 5,
        "nets: x\n" + "  - 10.0.0.0/8\n" * 5,
        "nets: 'x\n" + "  - 10.0.0.0/8\n" * 5 + "'",
        "nets: [\n" + "  - 10.0.0.0/8\n" * 5 + "]",
        "nets: {\n" + '  "10.0.0.0/8",\n' * 5 + "}",
        "nets: [? \n" + '  "10.0.0.0/8",\n' * 5 + "]",
        "nets: [&a\n" + '  "10.0.0.0/8",\n' * 5 + "]",
        "nets:\n" + "  - 10.0.0.0/8\n" * 5 + "    more\n",
        "nets:\n" + "  - 10.0.0.0/8 # why\n" * 5,
        "nets:\n" + "  - fe80::\n" * 5,
        "nets:\n" + "  - 10.0.0.0/8 \n" * 5,
        "a: 1\rnets:\n" + "  - 10.0.0.0/8\n" * 5,
        "a: 1\x85nets:\n" + "  - 10.0.0.0/8\n" * 5,
        "nets:\n" + "  - 10.0.0.0/8\n" * 2,
    ],
)
def test_what_is_not(text: str) -> None:
    try:
        assert runs_in(text) == []
    except BrokenYamlError:
        assert isinstance(read(text)[-1], Fault)
    assert read(text) == read_slowly(text)


def test_several_runs_in_a_row() -> None:
    text = "a:\n" + "- 1.1.1.1\n" * 3 + "- ''\n" + "- 1.1.1.1\n" * 4 + "b:\n" + "- '1.1.1.1'\n" * 5 + "- 1.1.1.1\n" * 6
    assert runs_in(text) == [3, 4, 5, 6]
    assert read(text) == read_slowly(text)


def test_documents_before_a_doubt_come_once() -> None:
    good = "a:\n" + "- 1.1.1.1\n" * 5
    text = f"{good}---\n{good}---\nb: |\n" + " - 1.1.1.1\n" * 5 + f"---\n{good}"
    assert len(read(text)) == 4
    assert read(text) == read_slowly(text)


def test_problems_behind_and_inside_a_long_list_say_where_they_are() -> None:
    nets = [f"10.0.{number >> 8}.{number & 255}/32" for number in range(MANY)]
    nets[0] = nets[123] = nets[MANY - 1] = "10.0.0.256"
    text = HEAD + "  nets:\n" + "".join(f"  - {net}\n" for net in nets) + "  - {a: b}\n  foo: 1\n---\nkind: x\n"
    assert runs_in(text.split("---")[0]) == [MANY]
    assert [(one.line, one.column, one.path) for one in problems_of(text)] == [
        (6, 5, "$.spec.nets[0]"),
        (129, 5, "$.spec.nets[123]"),
        (405, 5, "$.spec.nets[399]"),
        (406, 5, "$.spec.nets[400]"),
        (407, 3, "$.spec.foo"),
        (409, 1, "$.apiVersion"),
        (409, 7, "$.kind"),
    ]


def test_a_fault_of_yaml_behind_a_long_list_says_where_it_is() -> None:
    text = HEAD + "  nets:\n" + "  - 10.0.0.0/8\n" * MANY + "  foo: [\n---\n"
    ((line, message),) = [(one.line, one.message) for one in problems_of(text)]
    assert (line, message.startswith("not YAML")) == (407, True)


def test_repeats_in_and_beside_a_long_list_are_counted_once() -> None:
    nets = [f"10.0.{number >> 8}.{number & 255}/32" for number in range(MANY)]
    lines = "".join(f"  - {net}\n" for net in [*nets, "10.0.0.1", *nets[:7]])
    manifest = loads(f"{HEAD}  nets:\n{lines}  - '10.0.0.5'\n  - ::ffff:10.0.0.1\n", file="f")
    assert len(manifest.resources.globalNetworkSets[0].nets) == MANY + 1
    assert manifest.notices == ("f:6: GlobalNetworkSet/x: nets: 9 entries repeat others and count once",)


def test_values_in_runs_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compose, "MAX_VALUES", 100)
    (problem,) = problems_of("nets:\n" + "  - 10.0.0.0/8\n" * 200)
    assert (problem.line, problem.message) == (101, "more than 100 values in one file: split it")
    monkeypatch.setattr(compose, "MAX_ALIASED", 50)
    (problem,) = problems_of("nets: &a\n" + "  - 10.0.0.0/8\n" * 60 + "b: *a\n")
    assert "aliases repeat more than 50 values" in problem.message


def test_other_lists_may_be_long_too() -> None:
    text = HEAD.replace("GlobalNetworkSet", "HostEndpoint") + "  node: n\n  expectedIPs:\n" + "  - 10.0.0.256\n" * 5
    assert [(one.line, one.path) for one in problems_of(text)] == [
        (7 + number, f"$.spec.expectedIPs[{number}]") for number in range(5)
    ]
