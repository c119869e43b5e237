"""Every row of the tables of spec sections 2.3 and 2.6."""

from __future__ import annotations

import pytest

from pyxdp.errors import SelectorSyntaxError
from pyxdp.selector import MAX_LABEL_BYTES, parse

LONGEST_KEY = "k" * MAX_LABEL_BYTES

# (row, selector, labels that match, labels that do not)
EVALUATION = [
    (1, 'a == "b"', [{"a": "b"}, {"a": "b", "c": "d"}], [{}, {"a": "c"}, {"c": "d"}]),
    (2, 'a == "b" && c == "d"', [{"a": "b", "c": "d"}], [{}, {"a": "b"}, {"c": "d"}, {"a": "b", "c": "e"}]),
    (3, 'a == "b" || c == "d"', [{"a": "b"}, {"c": "d"}], [{}, {"a": "e", "c": "e"}]),
    (4, """a in {"'", '"', "c"}""", [{"a": "c"}, {"a": '"'}, {"a": "'"}], [{}, {"a": "e"}]),
    (5, """a not in {"'", '"', "c"}""", [{}, {"a": "e"}], [{"a": "c"}]),
    (6, 'a != "a"', [{}], [{"a": "a"}]),
    (7, 'a contains "a"', [{"a": "bab"}], [{}, {"a": "b"}, {"b": "aaa"}]),
    (8, 'a starts with "a"', [{"a": "abb"}], [{"a": "baa"}, {}]),
    (9, 'a ends with "a"', [{"a": "bba"}], [{"a": "aab"}, {}]),
    (10, '!a in {"a"}', [{"a": "b"}, {}], [{"a": "a"}]),
    (11, "!has(a)", [{"b": "b"}], [{"a": "b"}]),
    (11, "!!! has(a)", [{"b": "b"}], [{"a": "b"}]),
    (11, "!! ! has(a)", [{"b": "b"}], [{"a": "b"}]),
    (12, "!!has(b)", [{"b": ""}], [{"a": "b"}]),
    (13, "", [{}, {"a": "b"}], []),
    (13, " ", [{}, {"a": "b"}], []),
    (13, "\t \t", [{}, {"a": "b"}], []),
    (13, "all()", [{}, {"a": "b"}], []),
    (13, " all()", [{}, {"a": "b"}], []),
    (13, "global()", [{}, {"a": "b"}], []),
    (14, "a != 'a1' && !b == 'b1'", [{}], [{"a": "a1", "b": "b1"}]),
    (15, "! a == 'a1' || ! b == 'b1'", [{}], [{"a": "a1", "b": "b1"}]),
    (16, "!(!has(a) || has(b))", [{"a": "a"}], [{"a": "a", "b": "x"}]),
    (21, "a in {}", [], [{}, {"a": "b"}, {"a": ""}]),
    (22, "a not in {}", [{}, {"a": "b"}], []),
    (23, "a in {'b',}", [{"a": "b"}], [{"a": ""}, {}]),
    (24, "a=='b'&&c=='d'||e=='f'", [{"a": "b", "c": "d"}, {"e": "f"}], [{"a": "b"}, {"c": "d"}]),
    (25, "in in {'a'}", [{"in": "a"}], [{}]),
    (25, "not == 'x'", [{"not": "x"}], [{}]),
    (25, "has == 'x'", [{"has": "x"}], [{}]),
    (25, "allx=='y'", [{"allx": "y"}], [{}]),
    (25, "all == 'y' && global == 'z'", [{"all": "y", "global": "z"}], [{}]),
    (25, 'startswith starts with "v"', [{"startswith": "vw"}], [{}]),
    (26, "contains contains 'contains'", [{"contains": "xcontainsx"}], [{"contains": "contain"}]),
    (27, "x in{'a'}", [{"x": "a"}], [{}]),
    (27, "x notin{'a'}", [{}], [{"x": "a"}]),
    (27, 'x notin{"a"}', [{}], [{"x": "a"}]),
    (27, "a contains''", [{"a": ""}, {"a": "b"}], [{}]),
    (27, "a starts \t with'b'", [{"a": "bc"}], [{}]),
    (27, "a endswith'b'", [{"a": "cb"}], [{}]),
    (28, "1a == 'x'", [{"1a": "x"}], [{}]),
    (28, ".. == 'x'", [{"..": "x"}], [{}]),
    (28, "/ == 'x'", [{"/": "x"}], [{}]),
    (28, "has(-)", [{"-": ""}], [{}]),
    (29, "projectcalico.org/name == 'x'", [{"projectcalico.org/name": "x"}], [{}]),
    (29, "has(calico/k8s_NS-.1/role)", [{"calico/k8s_NS-.1/role": ""}], [{}]),
    (29, "has( \tb )", [{"b": "b"}], [{}]),
    (30, "((a == 'b'))", [{"a": "b"}], [{}]),
    (31, "a == '\u03b1'", [{"a": "\u03b1"}], [{"a": "a"}]),
    (31, 'a == ""', [{"a": ""}], [{}, {"a": "b"}]),
    (31, "a == 'x\ny'", [{"a": "x\ny"}], [{}]),
    (32, f"{LONGEST_KEY} == 'x'", [{LONGEST_KEY: "x"}], [{}]),
    (32, f"has({LONGEST_KEY})", [{LONGEST_KEY: "x"}], [{}]),
    (33, "!all()", [], [{}, {"a": "b"}]),
    (34, "global() && a == 'b'", [{"a": "b"}], [{}]),
]

# Spec section 2.3: (selector, value, answer); None is a missing label.
NODES = [
    ("k == 's'", "s", True),
    ("k == 's'", "t", False),
    ("k == 's'", None, False),
    ("k != 's'", "s", False),
    ("k != 's'", "t", True),
    ("k != 's'", None, True),
    ("k in {'s', 't'}", "t", True),
    ("k in {'s', 't'}", "u", False),
    ("k in {'s', 't'}", None, False),
    ("k in {}", "s", False),
    ("k not in {'s', 't'}", "t", False),
    ("k not in {'s', 't'}", "u", True),
    ("k not in {'s', 't'}", None, True),
    ("k not in {}", "s", True),
    ("k contains 'bc'", "abcd", True),
    ("k contains 'bd'", "abcd", False),
    ("k contains ''", "", True),
    ("k contains ''", None, False),
    ("k starts with 'ab'", "abcd", True),
    ("k starts with 'bc'", "abcd", False),
    ("k starts with ''", None, False),
    ("k ends with 'cd'", "abcd", True),
    ("k ends with 'bc'", "abcd", False),
    ("k ends with ''", None, False),
    ("has(k)", "", True),
    ("has(k)", None, False),
    ("all()", None, True),
    ("global()", None, True),
    ("!has(k)", None, True),
    ("!!has(k)", None, False),
    ("has(k) && k == ''", "", True),
    ("has(k) && !k == ''", "", False),
    ("!has(k) || k == 's'", "s", True),
    ("!has(k) || k == 's'", None, True),
    ("!has(k) || k == 's'", "t", False),
    ("!(k == 's' || k == 't') && has(k)", "u", True),
    ("!(k == 's' || k == 't') && has(k)", "t", False),
    ("!(has(k) && k != 's')", None, True),
    ("!(has(k) && k != 's')", "t", False),
]

CANONICAL = [
    ("", "all()"),
    ("   ", "all()"),
    ("! (has( b)||! has(a ))", "!(has(b) || !has(a))"),
    ("a startswith '\"'", "a starts with '\"'"),
    ("a!='\"'", "a != '\"'"),
    ('a in {"z", "z", "x", "y", "x", "a"}', 'a in {"a", "x", "y", "z"}'),
    ("a in {'\"', 'b', \"'\"}", 'a in {\'"\', "\'", "b"}'),
    ("a in {'\uffff', '\U00010000', 'b'}", 'a in {"b", "\uffff", "\U00010000"}'),
    ("a in { }", "a in {}"),
    ("a notin{'b',}", 'a not in {"b"}'),
    ("a=='b'&&c=='d'||e=='f'", '((a == "b" && c == "d") || e == "f")'),
    ("a=='b'||c=='d'&&e=='f'", '(a == "b" || (c == "d" && e == "f"))'),
    ("(a=='b'||c=='d')&&e=='f'", '((a == "b" || c == "d") && e == "f")'),
    ("has(a)&&has(b)&&has(c)", "(has(a) && has(b) && has(c))"),
    ("(has(a)&&has(b))&&has(c)", "((has(a) && has(b)) && has(c))"),
    ("((a == 'b'))", 'a == "b"'),
    ("!a == 'x'", '!a == "x"'),
    ("!a in {'x'}", '!a in {"x"}'),
    ("!!has(a)", "has(a)"),
    ("!(!has(a))", "has(a)"),
    ("!(!(has(a) && has(b)))", "(has(a) && has(b))"),
    ("global( )", "global()"),
    ("a contains 'x'", 'a contains "x"'),
    ("a ends\t\twith 'x'", 'a ends with "x"'),
]

IDENTIFIERS = [
    ("all()", "s:5y5I3VdRZfDU01O--xXAPx2yxCQQqMf0M6IWug"),
    ("! (has( b)||! has(a ))", "s:Iss0uCleLYv1GSv_pNm7hAO58kE9jAx1NKyG3Q"),
    ("!(a == 'b' && !c != 'd')", "s:lh3haoY1ikTRkd4UZu0nWSaIBknYLPJLX16d-w"),
]

# (row, selector, what the error must say, offset)
INVALID = [
    (35, "b == b", "a quoted string", 5),
    (35, "b contains b", "a quoted string", 11),
    (35, "b starts with b", "a quoted string", 14),
    (35, "b ends with b", "a quoted string", 12),
    (36, "'b1' == b", "expected a label", 0),
    (37, "b", "an operator", 1),
    (37, "a b", "an operator", 2),
    (37, "a ", "an operator", 2),
    (37, "!", "expected a label", 1),
    (38, 'foo == "bar" &', "unexpected '&'", 13),
    (38, 'foo == "bar" |', "unexpected '|'", 13),
    (38, "foo != ||", "a quoted string", 7),
    (39, 'foo in {"", ||', "a quoted string", 12),
    (39, 'foo in ""', '"{"', 7),
    (40, '"FOO', "no closing quote", 0),
    (40, "\"FOO'", "no closing quote", 0),
    (40, "'FOO", "no closing quote", 0),
    (41, "(", "expected a label", 1),
    (41, '(a == "foo"', '")"', 11),
    (41, ")", "expected a label", 0),
    (41, "()", "expected a label", 1),
    (42, "%", "unexpected '%'", 0),
    (42, 'a == "b" && %', "unexpected '%'", 12),
    (42, 'a == "b" || %', "unexpected '%'", 12),
    (42, "has(foo) &&", "expected a label", 11),
    (43, "has()", "a label key inside has()", 4),
    (43, "has(foo", "to close has(", 7),
    (43, "has( foo ", "to close has(", 9),
    (43, "all(", "to close all(", 4),
    (43, "global(", "to close global(", 7),
    (44, 'label = "v"', "unexpected '='", 6),
    (44, 'label starts foo "v"', "an operator", 6),
    (44, 'label ends withs "v"', "an operator", 6),
    (44, 'label inf "v"', "an operator", 6),
    (44, 'label squiggles "v"', "an operator", 6),
    (45, "has (a)", "an operator", 4),
    (45, "all ()", "an operator", 4),
    (45, "all(a)", "to close all(", 4),
    (45, "has('a')", "a label key inside has()", 4),
    (45, "has(a,b)", "to close has(", 5),
    (45, "has(a b)", "to close has(", 6),
    (46, "a !in {'b'}", "an operator", 2),
    (46, "a ! in {'b'}", "an operator", 2),
    (46, "a not 'b'", "an operator", 2),
    (46, "not in in {'x'}", '"{"', 7),
    (46, "in{'a'}", "an operator", 2),
    (47, "a in {'b' 'c'}", '","', 10),
    (47, "a in {,}", "a quoted string", 6),
    (47, "a in {'b',,'c'}", "a quoted string", 10),
    (47, "a in ('b')", '"{"', 5),
    (47, "a in {'b'", '","', 9),
    (48, "a == 'it''s'", "the end", 9),
    (48, "a == 'b' == 'c'", "the end", 9),
    (48, "a == 'b' c == 'd'", "the end", 9),
    (48, "has(a)has(b)", "the end", 6),
    (48, "all()x", "the end", 5),
    (48, "has(a))", "the end", 6),
    (49, "a == 'b' and c == 'd'", "an operator", 13),
    (49, "a AND b", "an operator", 2),
    (49, "a Contains 'x'", "an operator", 2),
    (49, "a > '1'", "unexpected '>'", 2),
    (49, "a == 1", "a quoted string", 5),
    (49, "a:b == 'c'", "unexpected ':'", 1),
    (49, "\u03b1 == 'b'", "unexpected '\N{GREEK SMALL LETTER ALPHA}'", 0),
    (50, 'a == "x"\n', "unexpected '\\n'", 8),
    (50, "a ==\r'x'", "unexpected '\\r'", 4),
    (50, "a ==\u00a0'x'", "unexpected '\\xa0'", 4),
    (51, "k" * (MAX_LABEL_BYTES + 1) + " == 'x'", "at most 512", 0),
    (51, f"has({'k' * (MAX_LABEL_BYTES + 1)})", "at most 512", 4),
    (0, "a == '\ud800'", "surrogate", 6),
]

HINTS = [
    ("a == b", "quotes"),
    ("a = 'b'", '"=="'),
    ("a == 'b' & has(c)", '"&&"'),
    ("a == 'b' and c == 'd'", '"&&"'),
    ("a == 'b' OR c == 'd'", '"||"'),
    ("a", "has(a)"),
    ("has (a)", "no blank"),
    ("a in ('b')", "{'a', 'b'}"),
    ("a == 'b'\n", "|-"),
    ("'a' == 'b'", "comes first"),
    ("(a == 'b'", "not closed"),
]


@pytest.mark.parametrize(("row", "text", "matching", "other"), EVALUATION, ids=lambda value: repr(value)[:40])
def test_example_table(row: int, text: str, matching: list[dict[str, str]], other: list[dict[str, str]]) -> None:
    assert row
    selector = parse(text)
    assert [labels for labels in matching if not selector.matches(labels)] == []
    assert [labels for labels in other if selector.matches(labels)] == []


@pytest.mark.parametrize(("text", "value", "answer"), NODES)
def test_node_table(text: str, value: str | None, answer: bool) -> None:  # noqa: FBT001 a column of the table
    labels = {"other": "s"} | ({} if value is None else {"k": value})
    assert parse(text).matches(labels) is answer


@pytest.mark.parametrize(("text", "canonical"), CANONICAL)
def test_canonical_form(text: str, canonical: str) -> None:
    selector = parse(text)
    assert selector.canonical == str(selector) == str(selector.root) == canonical
    assert parse(canonical).canonical == canonical
    assert parse(canonical).root == selector.root


@pytest.mark.parametrize(("text", "identifier"), IDENTIFIERS)
def test_identifier_is_calicos(text: str, identifier: str) -> None:
    assert parse(text).id == identifier


@pytest.mark.parametrize(("row", "text", "message", "position"), INVALID, ids=lambda value: repr(value)[:40])
def test_rejected(row: int, text: str, message: str, position: int) -> None:
    assert row >= 0
    with pytest.raises(SelectorSyntaxError) as caught:
        parse(text)
    assert message in str(caught.value)
    assert caught.value.position == position
    assert caught.value.text == text
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("text", "hint"), HINTS)
def test_error_carries_the_remedy(text: str, hint: str) -> None:
    with pytest.raises(SelectorSyntaxError) as caught:
        parse(text)
    assert hint in caught.value.hint


def test_error_of_a_long_selector_shows_only_the_place() -> None:
    text = " || ".join(f"label{number} == 'x'" for number in range(500)) + " || label == y"
    with pytest.raises(SelectorSyntaxError) as caught:
        parse(text)
    assert "label == y" in str(caught.value)
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize(
    ("text", "uses", "whole"),
    [
        ("global()", True, True),
        (" ( global( ) ) ", True, True),
        ("!global()", True, False),
        ("has(a) && !(has(b) || global())", True, False),
        ("a == 'global()'", False, False),
        ("global == 'x'", False, False),
        ("all()", False, False),
        ("", False, False),
    ],
)
def test_global_is_seen_in_the_tree_not_in_the_text(text: str, uses: bool, whole: bool) -> None:  # noqa: FBT001
    selector = parse(text)
    assert (selector.uses_global, selector.is_global) == (uses, whole)


def test_selectors_are_equal_by_canonical_text() -> None:
    assert parse("a=='b'") == parse('((a == "b"))')
    assert hash(parse("a=='b'")) == hash(parse("a == 'b'"))
    assert parse("a=='b'") != parse("a != 'b'")
