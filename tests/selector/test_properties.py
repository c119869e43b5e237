"""Properties of all selectors, and selectors that nest deeper than Python's own stack."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyxdp.errors import SelectorSyntaxError
from pyxdp.selector import (
    All,
    And,
    Contains,
    EndsWith,
    Equals,
    Global,
    Has,
    In,
    Leaf,
    Node,
    Not,
    NotEquals,
    NotIn,
    Or,
    Selector,
    StartsWith,
    negate,
    parse,
)
from pyxdp.selector.nodes import leaves, replace_leaves

if TYPE_CHECKING:
    from collections.abc import Mapping

DEPTH = 5_000

KEYS = st.sampled_from(["a", "b", "in", "not", "contains", "x/y", "-", "1"])
# No literal can hold both kinds of quotes.
VALUES = st.sampled_from(["", "a", "ab"]) | st.text(max_size=4).filter(lambda value: not {"'", '"'} <= set(value))
LEAVES = st.one_of(
    st.just(All()),
    st.just(Global()),
    st.builds(Has, KEYS),
    *(st.builds(kind, KEYS, VALUES) for kind in (Equals, NotEquals, Contains, StartsWith, EndsWith)),
    *(st.builds(kind, KEYS, st.frozensets(VALUES, max_size=3)) for kind in (In, NotIn)),
)


def _combine(inner: st.SearchStrategy[Node]) -> st.SearchStrategy[Node]:
    operands = st.lists(inner, min_size=2, max_size=3).map(tuple)
    return inner.map(negate) | st.builds(And, operands) | st.builds(Or, operands)


TREES: st.SearchStrategy[Node] = st.recursive(LEAVES, _combine, max_leaves=12)
LABELS = st.dictionaries(KEYS, VALUES, max_size=4)
WORDS = st.lists(
    st.sampled_from(
        "a b 'x' \"y\" == != ! && || ( ) { } , in not contains starts ends with has( all( global( = é".split()  # noqa: SIM905
    )
    | st.sampled_from([" ", "\t", "\n"])
).map("".join)


def naive(node: Node, labels: Mapping[str, str]) -> bool:
    """Evaluate by plain recursion."""
    if isinstance(node, Leaf):
        return node.matches(labels)
    if isinstance(node, Not):
        return not naive(node.operand, labels)
    answers = [naive(operand, labels) for operand in node.operands]
    return all(answers) if isinstance(node, And) else any(answers)


@settings(deadline=None)
@given(TREES)
def test_canonical_text_parses_to_the_same_tree(root: Node) -> None:
    selector = Selector.of(root)
    again = parse(selector.canonical)
    assert again == selector
    assert again.root == root
    assert (again.canonical, again.id) == (selector.canonical, selector.id)


@settings(deadline=None)
@given(TREES, LABELS)
def test_evaluation_agrees_with_plain_recursion(root: Node, labels: dict[str, str]) -> None:
    assert Selector.of(root).matches(labels) is naive(root, labels)


@settings(deadline=None)
@given(TREES, LABELS)
def test_negation_is_the_opposite(root: Node, labels: dict[str, str]) -> None:
    assert Selector.of(negate(root)).matches(labels) is not Selector.of(root).matches(labels)


@settings(deadline=None)
@given(TREES)
def test_replacing_every_leaf_by_itself_changes_nothing(root: Node) -> None:
    assert replace_leaves(root, lambda leaf: leaf) == root


@settings(deadline=None)
@given(TREES)
def test_replaced_leaves_stand_where_the_old_ones_stood(root: Node) -> None:
    replaced = replace_leaves(root, lambda leaf: Has(f"was/{type(leaf).__name__}"))
    assert list(leaves(replaced)) == [Has(f"was/{type(leaf).__name__}") for leaf in leaves(root)]


def parse_or_none(text: str) -> Selector | None:
    """Return the selector, or nothing when it is refused as it should be."""
    try:
        return parse(text)
    except SelectorSyntaxError as error:
        return (
            None if 0 <= error.position <= len(text) and len(str(error).splitlines()) == 1 else pytest.fail(str(error))
        )


@settings(deadline=None)
@given(st.text() | WORDS | st.text(alphabet=st.characters(codec=None)))
def test_text_parses_or_is_refused_cleanly(text: str) -> None:
    selector = parse_or_none(text)
    assert selector is None or parse(selector.canonical) == selector


@pytest.mark.parametrize(
    "text",
    [
        "(" * DEPTH + "has(a)" + ")" * DEPTH,
        "!" * (2 * DEPTH) + "has(a)",
        "!(" * (2 * DEPTH) + "has(a)" + ")" * (2 * DEPTH),
        "(all() && " * DEPTH + "has(a)" + ")" * DEPTH,
        "!(!has(a) || !(" * DEPTH + "all()" + "))" * DEPTH,
    ],
    ids=["parentheses", "negations", "negated parentheses", "conjunctions", "negated disjunctions"],
)
def test_deep_nesting_is_evaluated_like_any_other(text: str) -> None:
    selector = parse(text)
    assert selector.matches({"a": ""})
    assert not selector.matches({})
    assert parse(selector.canonical) == selector
    assert replace_leaves(selector.root, lambda leaf: leaf) is not None
    assert not selector.uses_global


@pytest.mark.parametrize("text", ["(" * DEPTH, "!" * DEPTH, "(has(a) && " * DEPTH, ")" * DEPTH])
def test_deep_nesting_without_an_end_is_a_syntax_error(text: str) -> None:
    with pytest.raises(SelectorSyntaxError):
        parse(text)
