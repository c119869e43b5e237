"""From the text of a selector to tokens (spec section 2.1)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from typing import Final

from pyxdp.errors import SelectorSyntaxError

#: The longest label key, in bytes. Keys are ASCII.
MAX_LABEL_BYTES: Final = 512

_EXCERPT: Final = 60


class Kind(Enum):
    """Kinds of tokens, as messages name them."""

    LABEL = "a label"
    STRING = "a quoted string"
    HAS = "has()"
    ALL = "all()"
    GLOBAL = "global()"
    OPEN = '"("'
    CLOSE = '")"'
    OPEN_SET = '"{"'
    CLOSE_SET = '"}"'
    COMMA = '","'
    NOT = '"!"'
    AND = '"&&"'
    OR = '"||"'
    EQUALS = '"=="'
    NOT_EQUALS = '"!="'
    IN = '"in"'
    NOT_IN = '"not in"'
    CONTAINS = '"contains"'
    STARTS_WITH = '"starts with"'
    ENDS_WITH = '"ends with"'
    END = "the end"


@dataclass(frozen=True, slots=True)
class Token:
    """One token.

    Attributes:
        kind: what it is.
        value: the key of a label or of ``has()``, the contents of a string; otherwise empty.
        position: offset of its first character.
    """

    kind: Kind
    value: str
    position: int

    def __str__(self) -> str:
        return f'label "{self.value}"' if self.kind is Kind.LABEL else self.kind.value


_PUNCTUATION: Final = {
    "(": Kind.OPEN,
    ")": Kind.CLOSE,
    "{": Kind.OPEN_SET,
    "}": Kind.CLOSE_SET,
    ",": Kind.COMMA,
    "==": Kind.EQUALS,
    "!=": Kind.NOT_EQUALS,
    "!": Kind.NOT,
    "&&": Kind.AND,
    "||": Kind.OR,
}
_LABEL_CHARACTERS: Final = r"[A-Za-z0-9_./-]"
_BLANKS: Final = re.compile(r"[ \t]*")
_LABEL: Final = re.compile(rf"{_LABEL_CHARACTERS}+")
_PUNCTUATION_PATTERN: Final = re.compile(r"[(){},]|==|!=|!|&&|\|\|")
_CALL: Final = re.compile(r"(has|all|global)\([ \t]*")
_WORD_OPERATOR: Final = re.compile(
    r"(?:(?P<CONTAINS>contains)|(?P<STARTS_WITH>starts[ \t]*with)|(?P<ENDS_WITH>ends[ \t]*with)"
    rf"|(?P<NOT_IN>not[ \t]*in)|(?P<IN>in))(?!{_LABEL_CHARACTERS})"
)


def syntax_error(text: str, position: int, message: str, hint: str = "") -> SelectorSyntaxError:
    """Return the error for this place, with as much of the selector as a line can hold."""
    start = max(0, min(position - _EXCERPT // 2, len(text) - _EXCERPT))
    excerpt = text[start : start + _EXCERPT]
    shown = "..." * (start > 0) + excerpt + "..." * (start + _EXCERPT < len(text))
    return SelectorSyntaxError(f"{message}, at offset {position} of {shown!r}", text=text, position=position, hint=hint)


def tokenize(text: str) -> list[Token]:
    """Return the tokens of a selector, ``Kind.END`` at last.

    Raises:
        SelectorSyntaxError: the text has something that is no token.
    """
    tokens: list[Token] = []
    position = _skip_blanks(text, 0)
    while position < len(text):
        # Words are operators only after a label, so that every word can also be a label.
        label = tokens[-1].value if tokens and tokens[-1].kind is Kind.LABEL else ""
        token, position = _operator(text, position, label) if label else _operand(text, position)
        tokens.append(token)
        position = _skip_blanks(text, position)
    tokens.append(Token(Kind.END, "", position))
    return tokens


def _skip_blanks(text: str, position: int) -> int:
    blanks = _BLANKS.match(text, position)
    return blanks.end() if blanks else position


def _operator(text: str, position: int, label: str) -> tuple[Token, int]:
    if word := _WORD_OPERATOR.match(text, position):
        return Token(Kind[word.lastgroup or ""], "", position), word.end()
    if word := _LABEL.match(text, position):
        message = f'expected an operator after label "{label}", found "{word[0]}"'
        raise syntax_error(text, position, message, _word_hint(label, word[0]))
    return _operand(text, position)


def _operand(text: str, position: int) -> tuple[Token, int]:
    if text[position] in "'\"":
        return _string(text, position)
    if punctuation := _PUNCTUATION_PATTERN.match(text, position):
        return Token(_PUNCTUATION[punctuation[0]], "", position), punctuation.end()
    if _CALL.match(text, position):
        return _call(text, position)
    if label := _label(text, position):
        return Token(Kind.LABEL, label, position), position + len(label)
    raise syntax_error(text, position, f"unexpected {text[position]!r}", _character_hint(text[position]))


def _string(text: str, position: int) -> tuple[Token, int]:
    end = text.find(text[position], position + 1)
    if end < 0:
        raise syntax_error(text, position, "the string has no closing quote", f"close it with {text[position]}")
    return Token(Kind.STRING, text[position + 1 : end], position), end + 1


def _call(text: str, start: int) -> tuple[Token, int]:
    call = _CALL.match(text, start)
    name, position = (call[1], call.end()) if call else ("", start)
    key = ""
    if name == "has":
        key = _label(text, position)
        if not key:
            raise syntax_error(text, position, "expected a label key inside has()", "write has(key), without quotes")
        position = _skip_blanks(text, position + len(key))
    if not text.startswith(")", position):
        raise syntax_error(text, position, f'expected ")" to close {name}(', f"write {name}({key})")
    return Token(Kind[name.upper()], key, start), position + 1


def _label(text: str, position: int) -> str:
    label = _LABEL.match(text, position)
    if label and len(label[0]) > MAX_LABEL_BYTES:
        message = f"label key of {len(label[0]):,} bytes, at most {MAX_LABEL_BYTES} are possible"
        raise syntax_error(text, position, message)
    return label[0] if label else ""


def _word_hint(*words: str) -> str:
    for word in words:
        if word.lower() in {"and", "or"}:
            return f'write "{"&&" if word.lower() == "and" else "||"}"'
    return "operators are ==, !=, in, not in, contains, starts with, ends with; in lower case"


def _character_hint(character: str) -> str:
    if character in "\r\n":
        return "only blanks and tabs may separate words; in YAML write the selector on one line, or use |- instead of |"
    if character in "&|=":
        return f'write "{character * 2}"'
    return "label keys have letters, digits and _ . / - only; values need quotes"
