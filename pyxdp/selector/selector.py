"""A parsed selector: canonical text, identifier, evaluation."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, TypeAlias

from pyxdp.selector.nodes import And, Global, Leaf, Node, Not, canonical_text, leaves

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    _Step: TypeAlias = tuple[Callable[[Mapping[str, str]], bool], int, int]

# Where a step goes: to another step (0 and up), to one of the two answers, or to the step that was emitted last.
_TRUE: Final = -1
_FALSE: Final = -2
_LAST: Final = -3


@dataclass(frozen=True, slots=True)
class Selector:
    """A selector. Two are equal when their canonical texts are.

    Attributes:
        canonical: the one text for all spellings of this selector.
        id: ``s:`` and the unpadded base64url SHA-224 of ``s:`` and the canonical text, as Calico computes it.
        root: the syntax tree.
    """

    canonical: str
    id: str = field(compare=False)
    root: Node = field(compare=False, repr=False)
    _steps: tuple[_Step, ...] = field(compare=False, repr=False)

    @classmethod
    def of(cls, root: Node) -> Selector:
        """Return the selector of a syntax tree."""
        canonical = canonical_text(root)
        return cls(canonical, _identifier(canonical), root, _compile(root))

    def __str__(self) -> str:
        return self.canonical

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Return whether an object with these labels is selected."""
        steps = self._steps
        position = len(steps) - 1
        while position >= 0:
            test, on_true, on_false = steps[position]
            position = on_true if test(labels) else on_false
        return position == _TRUE

    @property
    def uses_global(self) -> bool:
        """Whether ``global()`` occurs anywhere; only the namespaceSelector of a rule may have it, see ``is_global``."""
        return any(isinstance(leaf, Global) for leaf in leaves(self.root))

    @property
    def is_global(self) -> bool:
        """Whether the whole selector is ``global()``."""
        return isinstance(self.root, Global)


def _identifier(canonical: str) -> str:
    digest = hashlib.sha224(b"s:" + canonical.encode()).digest()
    return "s:" + base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def _compile(root: Node) -> tuple[_Step, ...]:
    """Return one step for each leaf, the last one first to run; each says where to go when its leaf is true or false.

    Leaves are emitted from right to left, so that when an operand begins, its right neighbour begins at the step that
    was emitted last.
    """
    steps: list[_Step] = []
    stack: list[tuple[Node, int, int]] = [(root, _TRUE, _FALSE)]
    while stack:
        node, on_true, on_false = stack.pop()
        on_true = len(steps) - 1 if on_true == _LAST else on_true
        on_false = len(steps) - 1 if on_false == _LAST else on_false
        if isinstance(node, Leaf):
            steps.append((node.matches, on_true, on_false))
        elif isinstance(node, Not):
            stack.append((node.operand, on_false, on_true))
        else:
            early = (_LAST, on_false) if isinstance(node, And) else (on_true, _LAST)
            stack += ((operand, *early) for operand in node.operands[:-1])
            stack.append((node.operands[-1], on_true, on_false))
    return tuple(steps)
