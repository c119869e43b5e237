"""Classes for the enums and structs of ``abi.h``, made from what the compiled module knows about them.

Type checkers can not follow that and read ``_types.pyi`` beside this file instead. ``python -m pyxdp.abi`` prints it
from the header; a test holds the two equal, and another one that every enum and struct of the header is listed below.
"""

from __future__ import annotations

from collections import namedtuple
from enum import IntEnum
from typing import TYPE_CHECKING

from pyxdp._abi import ffi

if TYPE_CHECKING:
    from cffi import FFI

PADDING = "pad"


def member_name(tag: str, enumerator: str) -> str:
    """Take from an enumerator the longest part of its enum's name that it begins with.

    ``pyxdp_verdict``: ``PYXDP_VERDICT_DENY`` -> ``DENY``; ``pyxdp_sport_class``: ``PYXDP_SPORT_NONE`` -> ``NONE``.
    """
    words = tag.upper().split("_")
    prefixes = ("_".join(words[:length]) + "_" for length in range(len(words), 0, -1))
    return next(enumerator.removeprefix(prefix) for prefix in prefixes if enumerator.startswith(prefix))


def ctype(python_name: str, kind: str) -> FFI.CType:
    """``RuleFlag`` -> ``enum pyxdp_rule_flag``."""
    words = "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in python_name)
    return ffi.typeof(f"{kind} pyxdp{words}")


def _enum(name: str) -> type[IntEnum]:
    enum = ctype(name, "enum")
    tag = enum.cname.removeprefix("enum ")
    # cffi lists the enumerators last to first; the first of several with one value gives the member its name.
    members = [(member_name(tag, enumerator), value) for enumerator, value in reversed(enum.relements.items())]
    return IntEnum(name, members, module=__name__)


def _struct(name: str) -> type[tuple[object, ...]]:
    fields = [field for field, _ in ctype(name, "struct").fields if field != PADDING]
    return namedtuple(name, fields, module=__name__)  # noqa: PYI024 -- its fields are those of the header


AbiVersion = _enum("AbiVersion")
Class = _enum("Class")
Direction = _enum("Direction")
Entry = _enum("Entry")
Field = _enum("Field")
Ipv6Entry = _enum("Ipv6Entry")
Ipv6Kind = _enum("Ipv6Kind")
Limit = _enum("Limit")
Page = _enum("Page")
Piece = _enum("Piece")
Reason = _enum("Reason")
RuleFlag = _enum("RuleFlag")
RulesetFlag = _enum("RulesetFlag")
Service = _enum("Service")
SportClass = _enum("SportClass")
Verdict = _enum("Verdict")

Control = _struct("Control")
Counter = _struct("Counter")
Cuts = _struct("Cuts")
Endpoint = _struct("Endpoint")
Entries = _struct("Entries")
Event = _struct("Event")
Fan = _struct("Fan")
Name = _struct("Name")
Parts = _struct("Parts")
Pieces = _struct("Pieces")
Ranges = _struct("Ranges")
Reasons = _struct("Reasons")
RowPlace = _struct("RowPlace")
Rule = _struct("Rule")
Ruleset = _struct("Ruleset")
Slot = _struct("Slot")
