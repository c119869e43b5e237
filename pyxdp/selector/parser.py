"""From the tokens of a selector to its syntax tree (spec section 2.2).

Parentheses and negations are kept on a stack of the parser's own: a selector may nest as deep as memory allows.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from pyxdp.selector.nodes import (
    All,
    Contains,
    EndsWith,
    Equals,
    Global,
    Has,
    In,
    Node,
    NotEquals,
    NotIn,
    StartsWith,
    all_of,
    any_of,
    negate,
)
from pyxdp.selector.selector import Selector
from pyxdp.selector.tokens import Kind, syntax_error, tokenize

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pyxdp.errors import SelectorSyntaxError
    from pyxdp.selector.tokens import Token

_STRING_OPERATORS: Final[Mapping[Kind, Callable[[str, str], Node]]] = {
    Kind.EQUALS: Equals,
    Kind.NOT_EQUALS: NotEquals,
    Kind.CONTAINS: Contains,
    Kind.STARTS_WITH: StartsWith,
    Kind.ENDS_WITH: EndsWith,
}
_SET_OPERATORS: Final = {Kind.IN: In, Kind.NOT_IN: NotIn}


def parse(text: str) -> Selector:
    """Parse a selector. An empty or blank one is ``all()``.

    Raises:
        SelectorSyntaxError: it is not in the language; says where and what would be right.
    """
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise syntax_error(text, error.start, "a lone surrogate is not text") from None
    return Selector.of(_Parser(text).selector())


@dataclass(slots=True)
class _Group:
    """What has been read of one pair of parentheses, or of the whole selector."""

    alternatives: list[Node] = field(default_factory=list)
    conjuncts: list[Node] = field(default_factory=list)
    negated: bool = False

    def add(self, node: Node) -> None:
        self.conjuncts.append(negate(node) if self.negated else node)
        self.negated = False

    def end_alternative(self) -> None:
        self.alternatives.append(all_of(self.conjuncts))
        self.conjuncts = []

    def node(self) -> Node:
        self.end_alternative()
        return any_of(self.alternatives)


class _Parser:
    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = tokenize(text)
        self._next = 0
        self._groups = [_Group()]

    def selector(self) -> Node:
        if self._peek().kind is Kind.END:
            return All()
        self._operand()
        while self._peek().kind is not Kind.END:
            self._after_operand()
        if len(self._groups) > 1:
            raise self._expected('")"', "a parenthesis is not closed")
        return self._groups[0].node()

    def _operand(self) -> None:
        """Read one operand with the negations and opening parentheses before it."""
        while (token := self._take()).kind in {Kind.NOT, Kind.OPEN}:
            if token.kind is Kind.NOT:
                self._groups[-1].negated = not self._groups[-1].negated
            else:
                self._groups.append(_Group())
        self._groups[-1].add(self._primary(token))

    def _primary(self, token: Token) -> Node:
        if token.kind is Kind.LABEL:
            return self._comparison(token.value)
        if token.kind is Kind.HAS:
            return Has(token.value)
        if token.kind is Kind.ALL:
            return All()
        if token.kind is Kind.GLOBAL:
            return Global()
        hint = "the label comes first: key == 'value'" if token.kind is Kind.STRING else ""
        raise self._expected("a label, has(), all() or a parenthesis", hint, token)

    def _after_operand(self) -> None:
        token = self._take()
        if token.kind is Kind.AND:
            self._operand()
        elif token.kind is Kind.OR:
            self._groups[-1].end_alternative()
            self._operand()
        elif token.kind is Kind.CLOSE and len(self._groups) > 1:
            self._groups[-2].add(self._groups.pop().node())
        else:
            raise self._expected('"&&", "||" or the end', "join expressions with && or ||", token)

    def _comparison(self, key: str) -> Node:
        operator = self._take()
        if compare := _STRING_OPERATORS.get(operator.kind):
            return compare(key, self._string())
        if compare_set := _SET_OPERATORS.get(operator.kind):
            return compare_set(key, self._set())
        hint = f"write has({key}) to ask whether the label exists"
        if key in {"has", "all", "global"} and operator.kind is Kind.OPEN:
            hint = f'no blank between "{key}" and "("'
        raise self._expected(f'an operator after label "{key}"', hint, operator)

    def _set(self) -> frozenset[str]:
        values: list[str] = []
        self._expect(Kind.OPEN_SET, "a set is written {'a', 'b'}")
        while self._peek().kind is not Kind.CLOSE_SET:
            values.append(self._string())
            if self._peek().kind is not Kind.CLOSE_SET:
                self._expect(Kind.COMMA, 'separate the strings with "," and close the set with "}"')
        self._take()
        return frozenset(values)

    def _string(self) -> str:
        return self._expect(Kind.STRING, "put the value in quotes").value

    def _expect(self, kind: Kind, hint: str) -> Token:
        token = self._take()
        if token.kind is not kind:
            raise self._expected(kind.value, hint, token)
        return token

    def _peek(self) -> Token:
        return self._tokens[self._next]

    def _take(self) -> Token:
        token = self._tokens[self._next]
        if token.kind is not Kind.END:
            self._next += 1
        return token

    def _expected(self, what: str, hint: str, found: Token | None = None) -> SelectorSyntaxError:
        found = found or self._peek()
        return syntax_error(self._text, found.position, f"expected {what}, found {found}", hint)
